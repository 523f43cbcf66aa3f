#include "tasks/hellaswag_text.h"

#include "tasks/unicode.h"

namespace attnlab {
namespace {

// \[.*?\] : each bracket with the nearest closing one, if no line break lies between.
std::string without_brackets(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '[' ? text.find_first_of("]\n", at) : std::string::npos;
    if (close != std::string::npos && text[close] == ']')
      at = close + 1;
    else
      out += text[at++];
  }
  return out;
}

}  // namespace

std::string hellaswag_text(const std::string& text) {
  return replaced(without_brackets(replaced(stripped(text), " [title]", ". ")), "  ", " ");
}

}  // namespace attnlab
