// How long training goes on: steps at their own speed, and what each run takes beside them (loading,
// converting, evaluating).
#pragma once

#include <algorithm>
#include <cstdint>

namespace attnlab {

// Times are seconds on any clock that does not go back.
class TimeLeft {
 public:
  explicit TimeLeft(double now) : mark_(now) {}

  // A run begins at `step`, or goes on there. Time since the last call was no training.
  void begin(double now, int64_t step) {
    ++runs_;
    pause(now);
    at_ = step;
  }
  // Time since the last call was no training, and what follows is.
  void pause(double now) {
    beside_ += now - mark_;
    mark_ = now;
  }
  // The run has come to `step`.
  void step(double now, int64_t step) {
    training_ += now - mark_;
    steps_ += step - at_;
    mark_ = now;
    at_ = step;
  }

  // Steps that were made.
  int64_t steps() const { return steps_; }
  // Of so many steps in the current run; negative: not known yet.
  double of_run(int64_t steps) const {
    return steps_ > 0 ? training_ / static_cast<double>(steps_) * static_cast<double>(steps) : -1;
  }
  // Of so many steps in all, among which whole runs are still to begin.
  double of_all(int64_t steps, int64_t runs) const {
    if (steps_ == 0) return -1;
    return of_run(steps) +
           beside_ / static_cast<double>(std::max<int64_t>(runs_, 1)) * static_cast<double>(runs);
  }

 private:
  double mark_, training_ = 0, beside_ = 0;
  int64_t runs_ = 0, steps_ = 0, at_ = 0;
};

}  // namespace attnlab
