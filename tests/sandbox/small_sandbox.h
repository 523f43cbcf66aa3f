// Short ways to judge small programs.
#pragma once

#include <string>
#include <vector>

#include "catch.h"
#include "sandbox/sandbox.h"

// Ends a test case where there is no sandbox.
#define NEEDS_SANDBOX() \
  if (const auto why = attnlab::Sandbox::unavailable()) SKIP_TEST("no sandbox: " + *why)

namespace attnlab::test {

// Two workers and a short limit.
inline SandboxOptions small_options() { return {.seconds = 1.5, .workers = 2}; }

// One program, its tests as MBPP's (entry_point empty) or HumanEval's.
inline CodeVerdict judge_one(const std::string& program, const std::string& tests,
                             const std::string& entry_point = "",
                             const SandboxOptions& options = small_options()) {
  Sandbox sandbox(options);
  return sandbox.judge({{program, tests, entry_point}})[0];
}

// Whether f(20) == 21 and f(1) == 2, as HumanEval would ask.
inline TestedProgram next_number(const std::string& program) {
  return {program, "def check(candidate):\n    assert candidate(20) == 21\n    assert candidate(1) == 2\n",
          "f"};
}
inline CodeVerdict judge_next_number(const std::string& program,
                                     const SandboxOptions& options = small_options()) {
  Sandbox sandbox(options);
  return sandbox.judge({next_number(program)})[0];
}

inline const char* const kRight = "def f(n):\n    return n + 1\n";

}  // namespace attnlab::test
