#include "core/errors.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace attnlab {

std::string describe(const BadInput& problem) {
  std::string text = problem.file;
  if (problem.line > 0) text.append(":").append(std::to_string(problem.line));
  if (!text.empty()) text.append(": ");
  if (!problem.key.empty()) text.append(problem.key).append(": ");
  text.append("found ").append(problem.found.empty() ? "nothing" : problem.found);
  if (!problem.nearest.empty()) text.append(" (did you mean '").append(problem.nearest).append("'?)");
  if (!problem.expected.empty()) text.append(", expected ").append(problem.expected);
  // What a file held may break the line, or, as a zero, end the message.
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return text;
}

InputError::InputError(const BadInput& problem) : std::runtime_error(describe(problem)), problem_(problem) {}

void fail_check(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "attnlab bug: %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}

}  // namespace attnlab
