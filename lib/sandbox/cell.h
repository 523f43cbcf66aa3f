// One sandbox with one Python in it.
#pragma once

#include <optional>
#include <string>

#include "sandbox/messages.h"
#include "sandbox/tree_usage.h"
#include "sandbox/walls.h"

namespace attnlab {

class Cell {
 public:
  // Starts it and returns at once. Throws RunError.
  Cell(const Walls& walls, const std::string& module, const std::string& arguments);
  // Kills all that runs inside, and waits for its end.
  ~Cell();
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  // Waits until its Python says that it is ready. Throws RunError if it never does.
  void wait_ready();
  // Kills all that runs inside; does not wait.
  void kill_all();
  // Our end of its channel.
  Descriptor& channel() { return channel_; }
  TreeUsage usage() const { return inside_ > 0 ? tree_usage(inside_) : TreeUsage{}; }

 private:
  void read_inside();
  std::string complaint();
  Descriptor channel_, info_, errors_, handle_;
  pid_t outside_ = 0;  // bubblewrap, a child of ours
  pid_t inside_ = 0;   // process 1 of the sandbox, as seen from here: with it the kernel ends all others
};

}  // namespace attnlab
