#include "text/text_stream.h"

#include <algorithm>

namespace attnlab {
namespace {
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
// Tokens that no character spans: after so many an unfinished one is malformed and stays as it is.
constexpr size_t kLongestCharacter = 8;
}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops, std::vector<int64_t> before)
    : tokenizer_(tokenizer), stops_(std::move(stops)), ids_(std::move(before)), settled_(ids_.size()) {
  std::erase(stops_, "");
}

// A token's text depends on whether it is the first (a leading space may be dropped) and on bytes before it, so
// a few tokens are decoded with and without the new ones, and the difference is what they add.
bool TextStream::feed(int64_t id) {
  if (stopped_) return true;
  ids_.push_back(id);
  const std::span<const int64_t> all(ids_);
  const std::string before = tokenizer_.decode(all.subspan(context_, settled_ - context_));
  const std::string now = tokenizer_.decode(all.subspan(context_));
  // With byte fallback an unfinished character spoils the whole characters of its run, too.
  const std::string added =
      now.starts_with(before) ? now.substr(before.size()) : tokenizer_.decode(all.subspan(settled_));
  const size_t searched_from = text_.size();
  if (added.ends_with(kReplacement) && ids_.size() - settled_ < kLongestCharacter) {
    tail_ = added;
  } else {
    text_ += added;
    tail_.clear();
    context_ = settled_;
    settled_ = ids_.size();
  }
  find_stop(searched_from);
  return stopped_;
}

// A stop string may have begun in text that was there before.
void TextStream::find_stop(size_t searched_from) {
  size_t first = std::string::npos;
  for (const auto& stop : stops_) {
    const size_t back = std::min(searched_from, stop.size() - 1);
    first = std::min(first, text_.find(stop, searched_from - back));
  }
  if (first == std::string::npos) return;
  text_.resize(first);
  tail_.clear();
  stopped_ = true;
}

// Bytes at the end that are the beginning of a stop string.
size_t TextStream::held_back() const {
  size_t longest = 0;
  for (const auto& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, text_.size()); n > longest; --n)
      if (std::string_view(text_).ends_with(std::string_view(stop).substr(0, n))) longest = n;
  return longest;
}

std::string TextStream::take() {
  const size_t end = stopped_ ? text_.size() : text_.size() - held_back();
  if (end <= taken_) return "";
  const std::string fresh = text_.substr(taken_, end - taken_);
  taken_ = end;
  return fresh;
}

std::string TextStream::rest() {
  text_ += tail_;
  tail_.clear();
  const std::string left = text_.substr(taken_);
  taken_ = text_.size();
  return left;
}

std::string TextStream::text() const { return text_ + tail_; }

}  // namespace attnlab
