// A run as TensorBoard's event file.
#pragma once

#include <filesystem>
#include <string>

#include "results/run_reader.h"

namespace attnlab {

// When the run started, from its provenance, in seconds since 1970; 0 if it does not say.
int64_t started_at(const RunRecord& run);

// EXPERIMENT/ARM[/POINT]/seedK/events.out.tfevents.STARTED.attnlab; characters that would lead elsewhere in a
// file system are replaced.
std::filesystem::path event_path(const RunRecord& run);

// The file's bytes, a function of the run alone. Scalars: train/loss, train/lr, train/gradient_norm,
// train/tokens, train/tokens_per_second, heldout/loss, accuracy, tasks/LABEL[/PROTOCOL]/SCORE. Texts: config
// and provenance. The wall time of a step is the start plus the training time until then.
std::string event_bytes(const RunRecord& run);

}  // namespace attnlab
