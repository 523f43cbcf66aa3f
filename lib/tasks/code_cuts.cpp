#include "tasks/code_cuts.h"

#include "tasks/unicode.h"
#include "text/utf8.h"

namespace attnlab {
namespace {

constexpr std::string_view kFence = "```";

size_t word_length(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = text::valid_char_length(text.substr(at));
    if (length == 0 || !is_word_character(text::first_code_point(text.substr(at)))) break;
    at += length;
  }
  return at;
}

}  // namespace

std::string before_fence(std::string_view reply) { return std::string(reply.substr(0, reply.find(kFence))); }

std::string first_fenced(std::string_view reply) {
  reply.remove_prefix(word_length(reply));
  if (reply.starts_with('\n')) reply.remove_prefix(1);
  const size_t end = reply.find(kFence);
  if (end == std::string_view::npos) return "";
  reply = reply.substr(0, end);
  if (reply.ends_with('\n')) reply.remove_suffix(1);
  return std::string(reply);
}

}  // namespace attnlab
