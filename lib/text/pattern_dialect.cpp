#include "text/pattern_dialect.h"

#include <cctype>
#include <stdexcept>
#include <vector>

namespace attnlab::text {
namespace {

constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

[[noreturn]] void unsupported(std::string_view construct) {
  throw std::invalid_argument("\"" + std::string(construct) + "\"");
}

class Translation {
 public:
  explicit Translation(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        if (!in_class_) atom_ = out_.size();
        escape();
      } else if (in_class_) {
        class_char(c);
      } else {
        plain_char(c);
      }
    }
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return in_.substr(at_); }
  void copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }
  void replace(size_t count, std::string_view text) {
    out_ += text;
    at_ += count;
  }

  void escape() {
    const char next = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    switch (next) {
      case 's':
        return replace(2, "\\p{White_Space}");
      case 'S':
        return replace(2, "\\P{White_Space}");
      case 'w':
        return replace(2, in_class_ ? std::string(kWord) : "[" + std::string(kWord) + "]");
      case 'W':
        if (in_class_) unsupported("\\W inside [...]");
        return replace(2, "[^" + std::string(kWord) + "]");
      case 'u':
        if (at_ + 6 > in_.size()) unsupported(rest());
        return replace(6, "\\x{" + std::string(in_.substr(at_ + 2, 4)) + "}");
      case 'p':
      case 'P':
        return property();
      default:
        break;
    }
    if (std::string_view("hHbBRXGKyYOkgQE").find(next) != std::string_view::npos)
      unsupported(in_.substr(at_, 2));
    copy(2);
  }

  // \p{Name}: copied whole, so that its brace is not taken for a repetition.
  void property() {
    const size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) unsupported(rest());
    copy(close + 1 - at_);
  }

  void class_char(char c) {
    if (rest().starts_with("[:")) {
      const size_t close = in_.find(":]", at_ + 2);
      if (close == std::string_view::npos) unsupported(rest());
      return copy(close + 2 - at_);
    }
    if (c == '[' || rest().starts_with("&&")) unsupported(in_.substr(at_, 2));
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void plain_char(char c) {
    note_atom(c);
    if (c == '[') {
      in_class_ = true;
      copy(rest().starts_with("[^") ? 2 : 1);
      if (rest().starts_with("]")) unsupported("[]");
      return;
    }
    if (rest().starts_with("(?")) return group_flags();
    if (c == '{') return repetition();
    copy(1);
  }

  // Ruby's (?m) is PCRE's (?s), and "{,n}" counts from 0 there.
  void group_flags() {
    size_t end = at_ + 2;
    while (end < in_.size() && (std::isalpha(static_cast<unsigned char>(in_[end])) || in_[end] == '-')) {
      if (in_[end] == 'm' || in_[end] == 'a' || in_[end] == 'u' || in_[end] == 'R')
        unsupported(in_.substr(at_, end + 1 - at_));
      ++end;
    }
    copy(end - at_);
  }

  // Where in out_ the character, class or group begins that a quantifier behind it repeats.
  void note_atom(char c) {
    if (c == '(') groups_.push_back(out_.size());
    if (c == '(' || c == '|') {
      atom_ = std::string::npos;
    } else if (c == ')') {
      atom_ = groups_.empty() ? std::string::npos : groups_.back();
      if (!groups_.empty()) groups_.pop_back();
    } else if (std::string_view("*+?{").find(c) == std::string_view::npos) {
      atom_ = out_.size();
    }
  }

  // "X{n,m}+" is a repeated repetition in Ruby, which is written (?:X{n,m})+ here, and a possessive one in
  // PCRE2.
  void repetition() {
    const size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) return copy(1);
    if (rest().starts_with("{,")) unsupported(in_.substr(at_, close + 1 - at_));
    const std::string_view count = in_.substr(at_ + 1, close - at_ - 1);
    const std::string_view behind = in_.substr(close + 1, 2);
    if (!behind.starts_with('+')) return copy(close + 1 - at_);
    const bool plain = !count.empty() && count.find_first_not_of("0123456789,") == std::string_view::npos;
    const bool more = behind.size() == 2 && std::string_view("*+?{").find(behind[1]) != std::string_view::npos;
    if (!plain || more || atom_ == std::string::npos) unsupported(in_.substr(at_, close + 2 - at_));
    out_.insert(atom_, "(?:");
    copy(close + 1 - at_);
    replace(1, ")+");
  }

  std::string_view in_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::vector<size_t> groups_;       // where those that are open begin in out_
  size_t atom_ = std::string::npos;  // see note_atom
};

}  // namespace

std::string to_pcre2(std::string_view pattern) { return Translation(pattern).run(); }

}  // namespace attnlab::text
