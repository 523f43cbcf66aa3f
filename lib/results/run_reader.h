// Reading the files of runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "results/run_file.h"

namespace attnlab {

struct RunRecord {
  RunHeader header;
  std::vector<TrainRow> train;
  std::vector<DistillationRow> distillation;  // empty without a teacher
  std::vector<LikelihoodRow> likelihoods;     // empty without eval.likelihoods
  std::vector<NonfiniteRow> nonfinite;        // steps that were not applied, by step
  std::vector<EvaluationRow> evaluations;
  std::vector<ProblemRow> problems;  // of committed evaluations, where their texts were asked for
  std::vector<AnswerRow> answers;    // of committed evaluations: problems without their texts
  RunState state = RunState::running;
  int64_t last_step = 0;
  std::string message;
  std::filesystem::path path;
};

// Reads a run: finished, crashed, or being written. Throws InputError if there is no run file at `path`,
// RunError if it cannot be read.
RunRecord read_run(const std::filesystem::path& path, bool with_problems = true);
RunState read_state(const std::filesystem::path& path);
// Header and state alone: what does not move while another machine writes the file.
RunRecord read_run_header(const std::filesystem::path& path);
// All files seed*.h5 below a folder, sorted by path; or the one file. Throws InputError if nothing is there.
std::vector<RunRecord> read_runs(const std::filesystem::path& folder_or_file, bool with_problems = false);

// True if there is a file seed*.h5 below the folder, or in the archive; for another path, if it is no file of
// measurements.
bool holds_runs(const std::filesystem::path& path);

// The HDF5 library in use, "1.10.8".
std::string hdf5_version();

}  // namespace attnlab
