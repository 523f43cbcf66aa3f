#include "report/artifact_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "compare/grid.h"
#include "compare/measured_spread.h"
#include "compare/planned_verdict.h"
#include "compare/run_places.h"
#include "compare/task_verdict.h"
#include "core/find_field.h"
#include "core/jsonl.h"

namespace attnlab {
namespace {

double seconds_of(const RunRecord& run) {
  return (run.train.empty() ? 0 : run.train.back().seconds) + evaluation_seconds(run);
}

double tolerance_of(const Interval& interval) {
  return interval.has_ends() ? std::sqrt(2.0) * interval.half_width() : 0;
}

// What all values of a place share.
struct PlaceFacts {
  double minutes = 0;
  int64_t tier = 1;
  std::string command;
};

PlaceFacts facts_of(const std::vector<RunRecord>& runs, const std::string& experiment,
                    const std::filesystem::path& config_folder) {
  double seconds = 0;
  bool on_gpu = false;
  const RunRecord* first = nullptr;
  for (const auto& run : runs) {
    if (run.header.experiment != experiment) continue;
    if (!first) first = &run;
    seconds += seconds_of(run);
    const auto* device = find_field<std::string>(run.header.provenance, "device");
    on_gpu |= device && *device == "cuda";
  }
  const auto config = config_folder / experiment / "exp.yaml";
  const int64_t tier = !on_gpu && seconds <= 3600 ? 1 : seconds <= 24 * 3600 ? 2 : 3;
  return {.minutes = seconds / 60,
          .tier = tier,
          .command = std::filesystem::exists(config)
                         ? "build/bin/run_ablation --config " + config.generic_string()
                         : "build/bin/run_ablation --config " +
                               (first ? first->path.generic_string() : "RUN.h5") +
                               " (each run file repeats its run)"};
}

class Values {
 public:
  Values(const Place& place, PlaceFacts facts, std::vector<ArtifactValue>& out)
      : place_(place), facts_(std::move(facts)), out_(out) {}

  void add(const std::string& arm, const std::string& against, const std::string& metric, double factor,
           const Interval& interval, const char* figure) {
    if (std::isnan(interval.value)) return;
    out_.push_back({.experiment = place_.experiment,
                    .sweep_point = place_.sweep_point,
                    .arm = arm,
                    .against = against,
                    .metric = metric,
                    .unit = factor == 1 ? "nats per token" : "points",
                    .value = factor * interval.value,
                    .tolerance = factor * tolerance_of(interval),
                    .seeds = interval.n,
                    .tier = facts_.tier,
                    .minutes = facts_.minutes,
                    .figure = figure,
                    .command = facts_.command});
  }

 private:
  const Place& place_;
  PlaceFacts facts_;
  std::vector<ArtifactValue>& out_;
};

void add_metrics(Values& values, const Place& place) {
  const VerdictTable table = compare_arms(place.runs);
  for (const auto& row : table.rows)
    for (const auto& [name, metric] : EnumNames<Metric>::rows) {
      const double factor = metric == Metric::accuracy ? 100 : 1;
      const char* figure = metric == Metric::accuracy       ? "accuracy"
                           : metric == Metric::heldout_loss ? "heldout_loss"
                                                            : "training_loss";
      values.add(row.arm, "", std::string(name), factor, row.value(metric), figure);
      if (!row.is_baseline)
        values.add(row.arm, table.baseline, std::string(name), factor, row.difference(metric).difference,
                   "ablation");
    }
}

void add_tasks(Values& values, const Place& place) {
  std::string baseline;
  for (const auto& row : compare_tasks(place.runs)) {
    if (row.is_baseline) baseline = row.arm;
    const std::string metric = row.task + "/" + row.protocol;
    values.add(row.arm, "", metric, 100, row.value, "tasks");
    if (!row.is_baseline) values.add(row.arm, baseline, metric, 100, row.difference, "ablation");
  }
}

std::string plain_metric(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name == "heldout loss" ? "held-out loss" : name;
}

// Marks the value that a planned claim rests on.
void name_claims(std::vector<ArtifactValue>& values, const std::vector<RunRecord>& runs) {
  for (const auto& result : judge_planned(runs))
    for (auto& value : values)
      if (value.experiment == result.experiment && value.sweep_point == result.sweep_point &&
          value.arm == result.claim.arm && value.against == result.claim.against &&
          (value.metric == plain_metric(result.claim.metric) || value.metric.starts_with(result.claim.metric)))
        value.claim = result.claim.id;
}

std::string key_of(const ArtifactValue& value) {
  return join({value.experiment, value.sweep_point, value.arm, value.against, value.metric}, "\n");
}

struct JsonWriter {
  nlohmann::json& out;
  template <class T>
  void operator()(const Key& key, const T& value) const {
    out[std::string(key.name)] = value;
  }
};

struct JsonReader {
  const Record& record;
  void operator()(const Key& key, std::string& value) const {
    value = record.text(std::string(key.name).c_str());
  }
  template <class T>
  void operator()(const Key& key, T& value) const {
    const std::string name(key.name);
    const auto& found = record.member(name.c_str(), "a number");
    if (!found.is_number()) record.fail(name, found.dump(), "a number");
    value = found.get<T>();
  }
};

}  // namespace

std::vector<ArtifactValue> artifact_values(const std::vector<RunRecord>& runs,
                                           const std::filesystem::path& config_folder) {
  std::vector<ArtifactValue> out;
  for (const auto& place : places_of(runs, "*", "*")) {
    Values values(place, facts_of(runs, place.experiment, config_folder), out);
    add_metrics(values, place);
    add_tasks(values, place);
  }
  name_claims(out, runs);
  return out;
}

std::string values_as_jsonl(const std::vector<ArtifactValue>& values) {
  std::string text;
  for (const auto& value : values) {
    nlohmann::json object;
    ArtifactValue::fields(value, JsonWriter{object});
    text += object.dump() + "\n";
  }
  return text;
}

std::vector<ArtifactValue> read_values(const std::filesystem::path& file) {
  std::vector<ArtifactValue> values;
  for_each_record(file, [&](const Record& record) {
    ArtifactValue::fields(values.emplace_back(), JsonReader{record});
    if (values.back().tolerance < 0)
      record.fail("tolerance", fmt::format("{}", values.back().tolerance), "0 or more");
  });
  return values;
}

bool CheckedValue::inside() const {
  if (std::isnan(found)) return false;
  return expected.tolerance == 0 || std::abs(found - expected.value) <= expected.tolerance;
}

std::vector<CheckedValue> check_values(const std::vector<ArtifactValue>& expected,
                                       const std::vector<RunRecord>& runs) {
  std::map<std::string, double> found;
  for (const auto& value : artifact_values(runs, "")) found[key_of(value)] = value.value;
  std::vector<CheckedValue> checked;
  for (const auto& value : expected) {
    const auto here = found.find(key_of(value));
    checked.push_back({.expected = value, .found = here == found.end() ? not_known : here->second});
  }
  return checked;
}

std::string format_checked(const std::vector<CheckedValue>& values) {
  Grid grid{.titles = {"value", "metric", "expected", "tolerance", "found", "check"}};
  for (const auto& value : values) {
    const ArtifactValue& e = value.expected;
    std::string name = e.experiment + (e.sweep_point.empty() ? "" : " @ " + e.sweep_point) + ": " + e.arm;
    if (!e.against.empty()) name += " minus " + e.against;
    grid.lines.push_back({.cells = {name, e.metric, fmt::format("{:.4f}", e.value),
                                    e.tolerance > 0 ? fmt::format("{:.4f}", e.tolerance) : "not known",
                                    std::isnan(value.found) ? "nothing" : fmt::format("{:.4f}", value.found),
                                    !value.inside()    ? "OUTSIDE"
                                    : e.tolerance == 0 ? "not checked"
                                                       : "inside"}});
  }
  return as_text(grid);
}

DeviceTime device_time(const std::vector<RunRecord>& runs) {
  DeviceTime time;
  for (const auto& run : runs) {
    const double seconds = seconds_of(run);
    ++time.runs;
    switch (run.state) {
      case RunState::complete:
        time.complete += seconds;
        break;
      case RunState::failed:
        time.failed += seconds;
        ++time.failed_runs;
        break;
      case RunState::running:
        time.running += seconds;
        ++time.unfinished_runs;
        break;
    }
  }
  return time;
}

}  // namespace attnlab
