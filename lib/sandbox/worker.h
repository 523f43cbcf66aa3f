// One program after the other: an examiner that stays, and a fresh candidate for each.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sandbox/cell.h"

namespace attnlab {

// For one thread: sandboxes end with the thread that started them.
class Worker {
 public:
  explicit Worker(const Walls& walls) : walls_(walls) {}

  // `more`: another one follows, for which a sandbox is started while this one is judged. Throws RunError.
  CodeVerdict judge(const TestedProgram& tested, bool more);
  std::optional<std::string> transform(const std::string& script, const std::string& input);

 private:
  Cell& examiner();
  void start_spare();
  // Hands the task over. Throws RunError if a fresh examiner does not take it either.
  void send(const Parts& task, int descriptor);
  std::optional<Parts> receive(Cell* candidate, double seconds, size_t cap, bool& too_much);

  const Walls& walls_;
  std::unique_ptr<Cell> examiner_, spare_;
};

}  // namespace attnlab
