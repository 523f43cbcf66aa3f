#include "data/code_draft.h"

#include "core/names.h"

namespace attnlab {
namespace {

std::string bracketed(const Words& parts) {
  std::string text = "[";
  text += join(parts);
  text += ']';
  return text;
}

}  // namespace

std::string python(bool value) { return value ? "True" : "False"; }
std::string python(int64_t value) { return std::to_string(value); }
std::string python(const std::string& text) { return "'" + text + "'"; }

std::string python(const Numbers& values) {
  Words parts;
  for (const int64_t value : values) parts.push_back(python(value));
  return bracketed(parts);
}

std::string python(const Words& words) {
  Words parts;
  for (const std::string& word : words) parts.push_back(python(word));
  return bracketed(parts);
}

}  // namespace attnlab
