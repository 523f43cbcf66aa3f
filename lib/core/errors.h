// Errors that a user can cause, and the one line that tells them what to do.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace attnlab {

// What is wrong with an input. Empty members are left out of the message.
struct BadInput {
  std::string file;      // path, or the command-line option
  int64_t line = 0;      // 1-based; 0: not known
  std::string key;       // dotted key, tensor name or column
  std::string found;     // what stands there
  std::string expected;  // what would be valid
  std::string nearest;   // the nearest valid name
};

// Bad configuration, data, checkpoint or command line. Programs print what() and exit with code 2.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const BadInput& problem);
  explicit InputError(const std::string& message) : std::runtime_error(message) {}
  // The parts that the message was made of; all empty if it was given whole. A caller that knows more (the file
  // and line of a key) completes them and throws again.
  const BadInput& problem() const { return problem_; }

 private:
  BadInput problem_;
};

// A failure while running on valid input (disk full, no memory). Programs print what() and exit with code 1.
class RunError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "FILE:LINE: KEY: found FOUND (did you mean 'NEAREST'?), expected EXPECTED"
std::string describe(const BadInput& problem);

// Violated invariants of our own: prints the condition and aborts. Never for user input.
[[noreturn]] void fail_check(const char* condition, const char* file, int line);
#define ATTNLAB_CHECK(condition) ((condition) ? (void)0 : ::attnlab::fail_check(#condition, __FILE__, __LINE__))

}  // namespace attnlab
