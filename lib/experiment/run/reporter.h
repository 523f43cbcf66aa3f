// What a person sees while a plan is executed.
#pragma once

#include <chrono>
#include <string>

#include "core/progress.h"
#include "experiment/plan/plan.h"

namespace attnlab {

class Reporter {
 public:
  // `total_steps`: of all runs that this process may have to do.
  Reporter(size_t runs, int64_t total_steps) : runs_(runs), steps_left_(total_steps) {}

  // The run with this place (from 0) begins or goes on at `step`.
  void begin(size_t place, const PlannedRun& run, int64_t step);
  void step(int64_t step, double loss, double tokens_per_second);
  void evaluating(int64_t step, int64_t answered, int64_t problems);
  void asking(int64_t step, const std::string& task, const std::string& what, int64_t done, int64_t total);
  void evaluated(int64_t step, double heldout_loss, double accuracy, int64_t problems);
  // A line that stays.
  void note(const std::string& text) { line_.note(text); }
  // Steps that need not be done: finished runs, or those of other processes.
  void skip(int64_t steps) { steps_left_ -= steps; }

 private:
  std::string prefix() const;
  double elapsed() const;
  ProgressLine line_;
  size_t runs_, place_ = 0;
  bool starved_ = false;  // and told so
  int64_t steps_left_ = 0, done_ = 0, first_ = 0, at_ = 0, last_ = 0;
  std::string name_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// "mla_identity lr=0.001 seed 0"
std::string run_name(const PlannedRun& run);

}  // namespace attnlab
