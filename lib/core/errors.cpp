#include "core/errors.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace attnlab {
namespace {

// A part of a message: what a file held may have megabytes.
std::string shown(const std::string& part) {
  constexpr size_t kShown = 2000;
  if (part.size() <= kShown) return part;
  size_t end = kShown;  // not in the middle of a UTF-8 sequence
  while (end > 0 && (static_cast<unsigned char>(part[end]) & 0xC0) == 0x80) --end;
  return part.substr(0, end) + "...";
}

}  // namespace

std::string describe(const BadInput& problem) {
  std::string text = shown(problem.file);
  if (problem.line > 0) text.append(":").append(std::to_string(problem.line));
  if (!text.empty()) text.append(": ");
  if (!problem.key.empty()) text.append(shown(problem.key)).append(": ");
  text.append("found ").append(problem.found.empty() ? "nothing" : shown(problem.found));
  if (!problem.nearest.empty()) text.append(" (did you mean '").append(shown(problem.nearest)).append("'?)");
  if (!problem.expected.empty()) text.append(", expected ").append(shown(problem.expected));
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
