#include "text/pattern_dialect.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <stdexcept>
#include <vector>

#include "text/unicode_tables.h"

namespace attnlab::text {
namespace {

// Superscripts and fractions of Latin-1, word characters to Oniguruma's \w unless it stands in a class.
constexpr const char* kLatinWord = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

[[noreturn]] void unsupported(std::string_view construct) {
  throw std::invalid_argument("\"" + std::string(construct) + "\"");
}

// The inside of a character class.
std::string members_of(std::string_view name) {
  return "\\p{" + std::string(name) + "}" + std::string(new_members(name));
}

std::string word_members() {
  return members_of("Alphabetic") + members_of("M") + members_of("Nd") + members_of("Pc");
}

// Oniguruma's meaning of a POSIX class in Unicode text; empty: as PCRE2's, or not known.
std::string posix_members(std::string_view name) {
  if (name == "alpha") return members_of("Alphabetic");
  if (name == "digit") return members_of("Nd");
  if (name == "alnum") return members_of("Alphabetic") + members_of("Nd");
  if (name == "upper") return members_of("Uppercase");
  if (name == "lower") return members_of("Lowercase");
  if (name == "punct") return members_of("P") + members_of("S");
  if (name == "space") return members_of("White_Space");
  if (name == "blank") return members_of("Zs") + "\\t";
  return name == "word" ? word_members() : "";
}

// "Han" for "han": names of properties are read in any case.
std::string capitalized(std::string_view name) {
  std::string text(name);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    text[i] = static_cast<char>(i == 0 ? std::toupper(c) : std::tolower(c));
  }
  return text;
}

// A property by the name that PCRE2 has for it. Oniguruma's names of scripts mean the script, PCRE2's the
// scripts that a character is used in, too.
std::string property_name(std::string_view name) {
  static const std::set<std::string> binary{"Any", "Alphabetic", "Lowercase", "Uppercase", "White_space"};
  const std::string known = capitalized(name);
  return name.size() <= 2 || binary.contains(known) ? known : "sc:" + known;
}

// The inside of a class: a property of Unicode, or a POSIX class.
std::string property_members(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (std::string members = posix_members(lower); !members.empty()) return members;
  const std::string known = property_name(name);
  const size_t bare = known.starts_with("sc:") ? 3 : 0;
  return "\\p{" + known + "}" + std::string(new_members(std::string_view(known).substr(bare)));
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
        return replace(2, in_class_ ? word_members() : "[" + word_members() + kLatinWord + "]");
      case 'W':
        if (in_class_) unsupported("\\W inside [...]");
        return replace(2, "[^" + word_members() + kLatinWord + "]");
      case 'd':
        return replace(2, in_class_ ? members_of("Nd") : "[" + members_of("Nd") + "]");
      case 'D':
        if (in_class_) unsupported("\\D inside [...]");
        return replace(2, "[^" + members_of("Nd") + "]");
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

  // \p{Name} is written whole, so that its brace is not taken for a repetition, and completed.
  void property() {
    const size_t close = in_.find('}', at_);
    if (close == std::string_view::npos || in_[at_ + 2] != '{') unsupported(rest());
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (name.starts_with('^')) negated = !negated, name.remove_prefix(1);
    std::string members = property_members(name);
    const size_t first_end = members.find('}') + 1;
    if (first_end == members.size()) {
      if (negated) members[1] = 'P';
    } else if (!in_class_) {
      members = (negated ? "[^" : "[") + members + "]";
    } else if (negated) {
      // A class cannot leave out the members of a negated property: the new ones stay in.
      if (!members.substr(first_end).starts_with("\\x")) unsupported(in_.substr(at_, close + 1 - at_));
      members = "\\P" + members.substr(2, first_end - 2);
    }
    replace(close + 1 - at_, members);
  }

  void class_char(char c) {
    if (rest().starts_with("[:")) {
      const size_t close = in_.find(":]", at_ + 2);
      if (close == std::string_view::npos) unsupported(rest());
      const std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
      const std::string members = posix_members(name);
      if (members.empty() && name != "ascii" && name != "cntrl" && name != "xdigit")
        unsupported(in_.substr(at_, close + 2 - at_));
      return members.empty() ? copy(close + 2 - at_) : replace(close + 2 - at_, members);
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
