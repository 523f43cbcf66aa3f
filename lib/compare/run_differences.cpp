#include "compare/run_differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>

#include "compare/arms.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

constexpr std::array kNames{"seed", "experiment", "arm.name"};
constexpr std::array kMachine{"revision",         "device",  "device_name", "cpu",
                              "operating_system", "threads", "torch",       "compiler"};

bool is_name(const std::string& key) { return std::find(kNames.begin(), kNames.end(), key) != kNames.end(); }
bool is_machine(const std::string& key) {
  return std::find(kMachine.begin(), kMachine.end(), key) != kMachine.end();
}

struct LabelledFields {
  std::string label;
  FlatFields fields;
};

// An arm's values of a key over its seeds and sweep points, "0.0001 | 0.0003".
using Values = std::set<std::string>;

Values values_of(const std::vector<LabelledFields>& runs, const std::string& arm, const std::string& key) {
  Values values;
  for (const auto& run : runs) {
    if (run.label != arm) continue;
    values.insert(field_text(run.fields, key, "nothing"));
  }
  return values;
}

std::string describe(const std::string& key,
                     const std::vector<std::pair<Values, std::vector<std::string>>>& groups) {
  std::vector<std::string> parts;
  for (const auto& [values, arms] : groups)
    if (values != Values{"nothing"})  // options that other variants do not have
      parts.push_back(fmt::format("{} ({})", fmt::join(values, " | "), join(arms)));
  return key + ": " + join(parts);
}

// Lines for the keys that `wanted` admits and whose values differ between arms, or `within` one, too.
std::vector<std::string> lines_of(const std::vector<LabelledFields>& runs,
                                  const std::function<bool(const std::string&)>& wanted, bool within) {
  std::vector<std::string> keys, arms;
  const auto add_once = [](std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
  };
  for (const auto& run : runs) {
    add_once(arms, run.label);
    for (const auto& [key, value] : run.fields)
      if (wanted(key)) add_once(keys, key);
  }
  std::vector<std::string> lines;
  for (const auto& key : keys) {
    std::vector<std::pair<Values, std::vector<std::string>>> groups;  // arms with equal values, in order
    for (const auto& arm : arms) {
      const Values values = values_of(runs, arm, key);
      auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == values; });
      if (group == groups.end()) group = groups.insert(groups.end(), {values, {}});
      group->second.push_back(arm);
    }
    if (groups.size() > 1 || (within && groups.front().first.size() > 1))
      lines.push_back(describe(key, groups));
  }
  return lines;
}

std::vector<LabelledFields> labelled(const std::vector<const RunRecord*>& runs, FlatFields RunHeader::*fields) {
  const bool several = std::any_of(runs.begin(), runs.end(), [&](const RunRecord* run) {
    return run->header.experiment != runs.front()->header.experiment;
  });
  std::vector<LabelledFields> out;
  std::vector<const RunRecord*> ordered = runs;  // experiments as given, arms as their config has them
  std::vector<std::string> experiments;
  for (const RunRecord* run : runs) experiments.push_back(run->header.experiment);
  const auto order = [&](const RunRecord* run) {
    return std::pair(std::find(experiments.begin(), experiments.end(), run->header.experiment),
                     run->header.arm_index);
  };
  std::stable_sort(ordered.begin(), ordered.end(),
                   [&](const RunRecord* a, const RunRecord* b) { return order(a) < order(b); });
  for (const RunRecord* run : ordered) out.push_back({arm_label(run->header, several), run->header.*fields});
  return out;
}

}  // namespace

std::vector<std::string> config_differences(const std::vector<const RunRecord*>& runs) {
  return lines_of(
      labelled(runs, &RunHeader::config), [](const std::string& key) { return !is_name(key); }, false);
}

std::vector<std::string> provenance_differences(const std::vector<const RunRecord*>& runs) {
  return lines_of(labelled(runs, &RunHeader::provenance), is_machine, true);
}

std::vector<std::string> input_differences(const RunHeader& run, const RunHeader& other, const std::string& arm,
                                           const std::string& baseline) {
  std::vector<std::string> found;
  for (const auto& [key, what] : {std::pair{"data_sha256", "other data"}, {"weights_sha256", "another base"}}) {
    const std::string ours = field_text(run.provenance, key), theirs = field_text(other.provenance, key);
    if (!ours.empty() && !theirs.empty() && ours != theirs)
      found.push_back(
          fmt::format("{} has {} than {}: {} is {} against {}", arm, what, baseline, key, ours, theirs));
  }
  return found;
}

}  // namespace attnlab
