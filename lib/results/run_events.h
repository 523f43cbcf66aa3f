// A run as TensorBoard's event file.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

// When the run started, from its provenance, in seconds since 1970; 0 if it does not say.
int64_t started_at(const RunRecord& run);

// EXPERIMENT/ARM[/POINT]/seedK/events.out.tfevents.STARTED.attnlab; characters that would lead elsewhere in a
// file system are replaced.
std::filesystem::path event_path(const RunRecord& run);

// The file's bytes, a function of the run alone. Scalars: train/loss, train/lr, train/gradient_norm,
// train/tokens, train/tokens_per_second, with a teacher distill/divergence, distill/layer_distance and
// distill/objective, heldout/loss, accuracy, tasks/LABEL[/PROTOCOL]/SCORE. Texts: config
// and provenance. The wall time of a step is the start plus the training time until then.
std::string event_bytes(const RunRecord& run);

// Values under their tags, of one row.
using EventScalars = std::vector<std::pair<std::string, double>>;
EventScalars event_scalars(const TrainRow& row);
EventScalars event_scalars(const DistillationRow& row);
EventScalars event_scalars(const EvaluationRow& row);
// Of an evaluation of tasks (evaluation_file.h).
EventScalars event_scalars_of_tasks(const std::filesystem::path& file);

// The event file of a run that goes on, below `folder` at event_path: written anew with what `run` holds up to
// `step`, in place, so that a reader that has it open goes on; then grows by an event for each row. A step may
// have several events. Throws RunError if the system can't write.
class EventLog {
 public:
  EventLog(const std::filesystem::path& folder, RunRecord run, int64_t step);
  // `seconds`: of training until this step.
  void put(int64_t step, double seconds, const EventScalars& scalars);

 private:
  void write(const std::string& bytes);
  std::filesystem::path path_;
  std::ofstream out_;
  double start_ = 0;
};

}  // namespace attnlab
