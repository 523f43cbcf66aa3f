#include "core/errors.h"

#include <cstdio>
#include <cstdlib>

namespace attnlab {

std::string describe(const BadInput& problem) {
  std::string text = problem.file;
  if (problem.line > 0) text += ":" + std::to_string(problem.line);
  if (!text.empty()) text += ": ";
  if (!problem.key.empty()) text += problem.key + ": ";
  text += "found " + (problem.found.empty() ? std::string("nothing") : problem.found);
  if (!problem.expected.empty()) text += ", expected " + problem.expected;
  if (!problem.nearest.empty()) text += "; did you mean '" + problem.nearest + "'?";
  return text;
}

InputError::InputError(const BadInput& problem) : std::runtime_error(describe(problem)) {}

void fail_check(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "attnlab bug: %s:%d: %s does not hold\n", file, line, condition);
  std::abort();
}

}  // namespace attnlab
