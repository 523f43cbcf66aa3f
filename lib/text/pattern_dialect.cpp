#include "text/pattern_dialect.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <vector>

namespace attnlab::text {
namespace {

constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

// Letters and numbers of Unicode 15 and 16, which the tokenizers library knows; PCRE2 before 10.43 and 10.45
// does not. As the inside of a character class.
constexpr std::string_view kNewLetters =
    R"(\x{1C89}-\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3}\x{10D4A}-\x{10D65})"
    R"(\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{1123F}-\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E})"
    R"(\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10})"
    R"(\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D})"
    R"(\x{16D40}-\x{16D6C}\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D})"
    R"(\x{1E4D0}-\x{1E4EB}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr std::string_view kNewIdeographs = R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr std::string_view kNewNumbers =
    R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59}\x{16130}-\x{16139})"
    R"(\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3}\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";

// What \p{name} lacks in an older PCRE2.
std::string_view new_members(std::string_view name) {
  if (name == "L") return kNewLetters;
  if (name == "Lo") return kNewIdeographs;
  return name == "N" ? kNewNumbers : std::string_view();
}

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

  // \p{Name}: copied whole, so that its brace is not taken for a repetition, and completed.
  void property() {
    const size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) unsupported(rest());
    const bool negated = in_[at_ + 1] == 'P';
    const std::string name(in_.substr(std::min(at_ + 3, close), close - std::min(at_ + 3, close)));
    const std::string_view more = new_members(name);
    if (more.empty() || (in_class_ && negated)) return copy(close + 1 - at_);
    const std::string members = "\\p{" + name + "}" + std::string(more);
    if (in_class_) return replace(close + 1 - at_, members);
    replace(close + 1 - at_, (negated ? "[^" : "[") + members + "]");
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
