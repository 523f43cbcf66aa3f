// Values that others can check: what was found, how far a repetition may lie from it, and what it takes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compare/verdict.h"
#include "core/fields.h"

namespace attnlab {

// A mean over seeds of an arm, or the difference of two arms.
struct ArtifactValue {
  std::string claim;  // id of the planned claim that rests on it, or ""
  std::string experiment, sweep_point, arm, against, metric, unit;
  double value = 0, tolerance = 0;  // tolerance 0: not known (one seed), so it is told and not checked
  int64_t seeds = 0, tier = 1;
  double minutes = 0;  // of device time, for all runs of the experiment
  std::string figure, command;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"claim", "id of a planned claim, or nothing"}, self.claim);
    visit(Key{"experiment", "its name"}, self.experiment);
    visit(Key{"sweep_point", "of a sweep"}, self.sweep_point);
    visit(Key{"arm", "whose value it is"}, self.arm);
    visit(Key{"against", "the arm whose value is subtracted, or nothing"}, self.against);
    visit(Key{"metric", "what was measured"}, self.metric);
    visit(Key{"unit", "nats per token, points"}, self.unit);
    visit(Key{"value", "as found"}, self.value);
    visit(Key{"tolerance", "of a repetition with as many seeds"}, self.tolerance);
    visit(Key{"seeds", "runs that it is the mean of"}, self.seeds);
    visit(Key{"tier", "1: minutes on a CPU, 2: hours on a GPU, 3: more"}, self.tier);
    visit(Key{"minutes", "device time of the experiment"}, self.minutes);
    visit(Key{"figure", "that shows it"}, self.figure);
    visit(Key{"command", "that makes its runs"}, self.command);
  }
};

// Of finished runs. Tolerance: √2 times half of the 95 % interval, in which the same experiment with other
// seeds ends up in 19 of 20 cases. `config_folder`: where EXPERIMENT/exp.yaml may lie.
std::vector<ArtifactValue> artifact_values(const std::vector<RunRecord>& runs,
                                           const std::filesystem::path& config_folder);

// One JSON object a line, and back. Throws InputError with file, line and key.
std::string values_as_jsonl(const std::vector<ArtifactValue>& values);
std::vector<ArtifactValue> read_values(const std::filesystem::path& file);

struct CheckedValue {
  ArtifactValue expected;
  double found = not_known;  // NaN: the runs do not tell it
  bool inside() const;       // of the tolerance; without one: that it was found
};
std::vector<CheckedValue> check_values(const std::vector<ArtifactValue>& expected,
                                       const std::vector<RunRecord>& runs);
std::string format_checked(const std::vector<CheckedValue>& values);

// Seconds on the device: training and evaluations of all runs, finished or not, by state.
struct DeviceTime {
  double complete = 0, failed = 0, running = 0;
  int64_t runs = 0, failed_runs = 0, unfinished_runs = 0;
  double all() const { return complete + failed + running; }
};
DeviceTime device_time(const std::vector<RunRecord>& runs);

}  // namespace attnlab
