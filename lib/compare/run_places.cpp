#include "compare/run_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compare/measured_table.h"
#include "core/find_field.h"
#include "core/progress.h"
#include "stats/intervals.h"

namespace attnlab {
namespace {

// Prompts and replies are large, and no claim looks at them.
RunRecord without_problems(const RunRecord& run) {
  return {.header = run.header,
          .train = run.train,
          .nonfinite = run.nonfinite,
          .evaluations = run.evaluations,
          .problems = {},
          .answers = run.answers,
          .state = run.state,
          .last_step = run.last_step,
          .message = run.message,
          .path = run.path};
}

bool has_seed(const Place& place, const std::string& arm, int64_t seed) {
  return std::any_of(place.runs.begin(), place.runs.end(),
                     [&](const RunRecord& run) { return run.header.arm == arm && run.header.seed == seed; });
}

}  // namespace

const RunRecord* Place::first(const std::string& arm) const {
  for (const auto& run : runs)
    if (run.header.arm == arm) return &run;
  return nullptr;
}

std::vector<Place> places_of(const std::vector<RunRecord>& runs, const std::string& experiment,
                             const std::string& sweep_point) {
  std::vector<Place> places;
  for (const auto& run : runs) {
    const RunHeader& header = run.header;
    if (run.state != RunState::complete || find_field(header.config, "purpose")) continue;
    if (!fits_pattern(experiment, header.experiment) || !fits_pattern(sweep_point, header.sweep_point))
      continue;
    auto place = std::find_if(places.begin(), places.end(), [&](const Place& candidate) {
      return candidate.experiment == header.experiment && candidate.sweep_point == header.sweep_point;
    });
    if (place == places.end())
      place = places.insert(places.end(), {.experiment = header.experiment, .sweep_point = header.sweep_point});
    if (!has_seed(*place, header.arm, header.seed)) place->runs.push_back(without_problems(run));
  }
  return places;
}

std::string arm_lacking(const Place& place, const std::vector<std::string>& arms) {
  std::set<std::string> there;
  for (const auto& run : place.runs) there.insert(run.header.arm);
  for (const auto& arm : arms)
    if (!there.contains(arm))
      return fmt::format("there is no finished run of arm '{}', only of {}", arm,
                         join({there.begin(), there.end()}));
  return "";
}

Place with_arms(const Place& place, const std::vector<std::string>& arms, bool same_seeds) {
  Place chosen{.experiment = place.experiment, .sweep_point = place.sweep_point};
  for (const auto& run : place.runs) {
    if (std::find(arms.begin(), arms.end(), run.header.arm) == arms.end()) continue;
    const bool in_all = std::all_of(arms.begin(), arms.end(),
                                    [&](const auto& arm) { return has_seed(place, arm, run.header.seed); });
    if (in_all || !same_seeds) chosen.runs.push_back(run);
  }
  return chosen;
}

std::string scale_of(const Place& place) {
  int64_t parameters = 0, tokens = 0;
  std::vector<std::string> devices;
  for (const auto& run : place.runs) {
    parameters = std::max(parameters, run.header.parameters_total);
    if (!run.train.empty()) tokens = std::max(tokens, run.train.back().tokens);
    const FieldValue* device = find_field(run.header.provenance, "device_name");
    const auto* name = device ? std::get_if<std::string>(device) : nullptr;
    if (name && std::find(devices.begin(), devices.end(), *name) == devices.end()) devices.push_back(*name);
  }
  std::string text = fmt::format("{} parameters, {} tokens", format_count(static_cast<double>(parameters)),
                                 format_count(static_cast<double>(tokens)));
  if (!devices.empty()) text += ", " + join(devices, " and ");
  return text;
}

double conversion_number(const RunRecord& run, const std::string& key) {
  const FieldValue* value = find_field(run.header.conversion, key);
  const auto* number = value ? std::get_if<double>(value) : nullptr;
  return number ? *number : not_known;
}

}  // namespace attnlab
