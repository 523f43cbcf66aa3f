// The store of results: one HDF5 file per run. results/README.md describes the layout.
//
// While a run goes on its file is written in HDF5's SWMR mode: a row whose put_*() has returned is in the
// operating system's hands, survives kill -9, and can be read by others at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/names.h"
#include "results/rows.h"

namespace attnlab {

enum class RunState { running, complete, failed };

template <>
struct EnumNames<RunState> {
  static constexpr std::array<std::pair<std::string_view, RunState>, 3> rows{
      {{"running", RunState::running}, {"complete", RunState::complete}, {"failed", RunState::failed}}};
};

// What is known of a run before its first step: root attributes, and groups of attributes.
struct RunHeader {
  std::string experiment, arm, variant, sweep_point;
  int64_t arm_index = 0;  // place of the arm in the config; 0 is the arm that others are compared with
  int64_t seed = 0;
  int64_t parameters_total = 0, parameters_trainable = 0, cached_numbers_per_token = 0;
  std::optional<int64_t> cache_context;  // files of older versions don't say these two
  std::optional<double> cache_bytes;     // kept for one sequence of that many tokens
  double flops_per_token = 0;
  FlatFields config;          // group /config, one attribute per dotted key
  FlatFields provenance;      // group /provenance
  FlatFields conversion;      // group /conversion: the equivalence report
  std::string resolved_yaml;  // an attribute of /config, of any length
  // Capacities of the text columns of /problems, in bytes, from 1 to 14000; `extracted` gets gold's, at
  // least 64.
  int64_t prompt_bytes = 1, gold_bytes = 1, output_bytes = 1;

  // The root attributes.
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"experiment", "name of the experiment"}, self.experiment);
    visit(Key{"arm", "name of the arm"}, self.arm);
    visit(Key{"arm_index", "place of the arm in the config"}, self.arm_index);
    visit(Key{"variant", "attention variant"}, self.variant);
    visit(Key{"sweep_point", "values of the swept keys"}, self.sweep_point);
    visit(Key{"seed", "seed of the run"}, self.seed);
    visit(Key{"parameters_total", "all parameters of the model"}, self.parameters_total);
    visit(Key{"parameters_trainable", "parameters that the arm trains"}, self.parameters_trainable);
    visit(Key{"cached_numbers_per_token", "size of the KV cache"}, self.cached_numbers_per_token);
    visit(Key{"cache_context", "tokens that cache_bytes is told at"}, self.cache_context);
    visit(Key{"cache_bytes", "bytes kept for a sequence of that length"}, self.cache_bytes);
    visit(Key{"flops_per_token", "forward floating-point operations"}, self.flops_per_token);
    visit(Key{"prompt_bytes", "width of prompt in /problems"}, self.prompt_bytes);
    visit(Key{"gold_bytes", "width of gold in /problems"}, self.gold_bytes);
    visit(Key{"output_bytes", "width of output in /problems"}, self.output_bytes);
  }
};

// Writes the file of one run. Movable. Every member may throw RunError (disk full, …) naming the file; after
// that the rows that were put before are safe, further put_*() throw, and set_status(failed) still works.
class RunWriter {
 public:
  // Builds PATH.tmp, renames it over `path` (parent folders are made) and opens it for SWMR writing.
  static RunWriter create(const std::filesystem::path& path, const RunHeader& header);
  // Goes on with a run that stopped in any way: copies its header and its whole rows to a fresh file, which
  // replaces it. Problems whose evaluation was not committed are dropped. The state becomes running.
  // Throws InputError if `path` is no run file.
  // `amend` may add to what the header says.
  static RunWriter resume(const std::filesystem::path& path, const std::function<void(RunHeader&)>& amend = {});
  RunWriter(RunWriter&&) noexcept;
  RunWriter& operator=(RunWriter&&) noexcept;
  // Closes the file in good order (or, if the disk lacks room for that, as a kill would) and leaves its state.
  ~RunWriter();

  // Replaces the row of the same step, or appends. A new step must be greater than the last.
  void put_train(const TrainRow& row);
  // The same, in a file whose header has a teacher (train.distill.teacher).
  void put_distillation(const DistillationRow& row);
  // The same, in a file whose header has eval.likelihoods.
  void put_likelihoods(const LikelihoodRow& row);
  // Replaces the row of the same step, or appends.
  void put_nonfinite(const NonfiniteRow& row);
  // Writes the problems, then the row that commits them. An evaluation of the same step is replaced and must
  // have the same number of problems. Texts too long for their column are cut at a UTF-8 character.
  void put_evaluation(const EvaluationRow& row, const std::vector<ProblemRow>& problems);
  // Sets the state in place, which needs no disk space. With complete or failed the file is closed first, so
  // that it opens without SWMR flags from then on, unless a write has failed; no more rows can be put.
  void set_status(RunState state, int64_t last_step, const std::string& message = "");

  const std::vector<TrainRow>& train() const;
  const std::vector<EvaluationRow>& evaluations() const;
  const std::filesystem::path& path() const;

 private:
  struct Impl;
  explicit RunWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attnlab
