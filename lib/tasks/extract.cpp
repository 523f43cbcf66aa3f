#include "tasks/extract.h"

#include <algorithm>

#include "tasks/unicode.h"

namespace attnlab {
namespace {

constexpr std::string_view kDigits = "0123456789", kNumber = "0123456789.,", kMoney = "0123456789.,$";

// Length of the run of `set` that begins at `at`.
size_t run_length(std::string_view text, size_t at, std::string_view set) {
  const size_t end = text.find_first_not_of(set, at);
  return std::min(end, text.size()) - std::min(at, text.size());
}

// Where a number begins behind a sign that may be there.
size_t after_sign(std::string_view text, size_t at) {
  return at < text.size() && text[at] == '-' ? at + 1 : at;
}

// The end of a match of last_number's expression at `at`, or `at` if there is none.
size_t number_end(std::string_view text, size_t at) {
  const size_t first = after_sign(text, at);
  const size_t money = run_length(text, first, kMoney);
  if (money >= 2) return first + money;
  const size_t digits = run_length(text, first, kDigits);
  return digits > 0 ? first + digits : at;
}

std::string plain_number(std::string_view text) {
  std::string plain = replaced(replaced(std::string(text), ",", ""), "$", "");
  const std::string_view mark = "#### ";
  if (const size_t at = plain.rfind(mark); at != std::string::npos) plain.erase(0, at + mark.size());
  if (plain.ends_with('.')) plain.pop_back();
  return plain;
}

}  // namespace

std::string answer_after_hashes(std::string_view reply) {
  const std::string_view mark = "#### ";
  for (size_t at = reply.find(mark); at != std::string_view::npos; at = reply.find(mark, at + 1)) {
    const size_t begin = at + mark.size(), first = after_sign(reply, begin);
    if (const size_t length = run_length(reply, first, kNumber); length > 0)
      return std::string(reply.substr(begin, first + length - begin));
  }
  return std::string(kNoAnswer);
}

std::string numbers_of_reply(std::string_view reply) {
  std::string numbers;
  for (size_t at = reply.find_first_of(kDigits); at < reply.size(); at = reply.find_first_of(kDigits, at)) {
    const size_t length = run_length(reply, at, kDigits);
    if (!numbers.empty()) numbers += ",";
    numbers += reply.substr(at, length);
    at += length;
  }
  return numbers.empty() ? std::string(kNoAnswer) : numbers;
}

std::string answer_before_any_character(std::string_view reply) {
  const std::string_view mark = "The answer is ";
  for (size_t at = reply.find(mark); at != std::string_view::npos; at = reply.find(mark, at + 1)) {
    const size_t begin = at + mark.size(), first = after_sign(reply, begin);
    size_t length = run_length(reply, first, kNumber);
    const size_t next = first + length;
    const bool followed = next < reply.size() && reply[next] != '\n';
    if (!followed && length > 0) --length;
    if (length > 0) return std::string(reply.substr(begin, first + length - begin));
  }
  return std::string(kNoAnswer);
}

std::string last_number(std::string_view reply) {
  std::string_view last = kNoAnswer;
  for (size_t at = 0; at < reply.size();) {
    const size_t end = number_end(reply, at);
    if (end > at) last = reply.substr(at, end - at);
    at = std::max(end, at + 1);
  }
  return std::string(last);
}

bool same_number_text(std::string_view answer, std::string_view gold) {
  return answer != kNoAnswer && plain_number(answer) == plain_number(gold);
}

}  // namespace attnlab
