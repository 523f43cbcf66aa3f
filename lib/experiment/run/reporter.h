// What a person sees while a plan is executed.
#pragma once

#include <chrono>
#include <string>

#include "core/progress.h"
#include "experiment/plan/plan.h"
#include "experiment/run/time_left.h"

namespace attnlab {

class Reporter {
 public:
  // `total_steps`: of all runs that this process may have to do. `worker`: what is live is written for the
  // process that started this one (worker_screen.h). `silent`: another rank says it all.
  Reporter(size_t runs, int64_t total_steps, bool worker = false, bool silent = false)
      : runs_(runs), worker_(worker), silent_(silent), steps_left_(total_steps) {}

  // The run with this place (from 0) begins or goes on at `step`.
  void begin(size_t place, const PlannedRun& run, int64_t step);
  // Training begins, or goes on behind something else.
  void training() { time_.pause(elapsed()); }
  void step(int64_t step, double loss, double tokens_per_second);
  void evaluating(int64_t step, int64_t answered, int64_t problems);
  void asking(int64_t step, const std::string& task, const std::string& what, int64_t done, int64_t total);
  void evaluated(int64_t step, double heldout_loss, double accuracy, int64_t problems);
  // A line that stays.
  void note(const std::string& text) {
    if (!silent_) line_.note(text);
  }
  // Steps that need not be done: finished runs, or those of other processes.
  void skip(int64_t steps) { steps_left_ -= steps; }

 private:
  using Clock = std::chrono::steady_clock;
  std::string prefix() const;
  double elapsed() const;
  // `left`: of all runs, where known.
  void show(const std::string& text, bool force, const std::string& left = "");
  void tell_starvation();

  ProgressLine line_;
  size_t runs_, place_ = 0;
  bool worker_ = false, silent_ = false;
  bool starved_ = false;  // and told so
  double looked_at_ = 0;  // when starvation was looked for, seconds of elapsed()
  int64_t steps_left_ = 0, resumed_ = 0, at_ = 0, last_ = 0;
  std::string name_;
  Clock::time_point start_ = Clock::now(), shown_ = Clock::time_point::min();
  TimeLeft time_{0};
};

// "mla_identity lr=0.001 seed 0"
std::string run_name(const PlannedRun& run);

}  // namespace attnlab
