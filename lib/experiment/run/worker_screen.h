// What several processes show on one screen: a live line for all, and lines that stay, none torn by another.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/progress.h"

namespace attnlab {

// What a worker says of itself in place of a live line of its own.
struct WorkerProgress {
  int64_t done = 0;     // steps that it made
  int64_t resumed = 0;  // steps that its runs had behind them when it went on with them
  std::string text;     // "[1/6] gqa seed 0: step 12/100, …"
};
// One line of a worker's standard error, which no other line looks like.
std::string worker_line(const WorkerProgress& progress);

// Texts side by side in so many columns, each with its part.
std::string side_by_side(const std::vector<std::string>& texts, size_t width);

class WorkerScreen {
 public:
  // `steps`: that the plan still has to make, in all.
  WorkerScreen(size_t workers, int64_t steps);
  // Bytes of a worker's standard error; whole lines are shown.
  void hear(size_t worker, const std::string& bytes);
  // A worker that ended has no place in the live line; what it left of a line is shown.
  void end(size_t worker);

 private:
  void take_line(size_t worker, const std::string& line);
  void show(size_t worker);
  std::string all_left();
  using Clock = std::chrono::steady_clock;
  struct Worker {
    WorkerProgress progress;
    std::string begun;  // of a line
    Clock::time_point shown = Clock::time_point::min();
  };
  std::vector<Worker> workers_;
  int64_t steps_;
  int64_t first_ = 0;  // steps that were made when the first worker spoke of them, at start_
  Clock::time_point start_;
  ProgressLine line_{0};
};

}  // namespace attnlab
