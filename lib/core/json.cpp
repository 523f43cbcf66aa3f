#include "core/json.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "core/errors.h"
#include "core/files.h"
#include "core/foreign_content.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestFile = 100'000'000;
constexpr size_t kShown = 200;  // bytes of a name in a message

// Sees each event of the parser, which by itself keeps one of two equal keys and has no bound on nesting. A map
// with fewer members than keys has one twice; which one, only a guard that names them remembers: that takes
// time.
class Guard {
 public:
  Guard(const std::string& file, const JsonLimits& limits, bool names)
      : file_(file), limits_(limits), names_(names) {}
  bool saw_key_twice() const { return twice_; }

  void see(json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        count_item();
        if (open_.size() == limits_.depth) refuse("nested values", limits_.depth, "levels");
        open_.push_back({.list = event == json::parse_event_t::array_start});
        return;
      case json::parse_event_t::object_end:
        twice_ = twice_ || parsed.size() < open_.back().items;
        open_.pop_back();
        return;
      case json::parse_event_t::array_end:
        open_.pop_back();
        return;
      case json::parse_event_t::key:
        see_key(parsed.get_ref<const std::string&>());
        return;
      case json::parse_event_t::value:
        count_item();
        return;
    }
  }

 private:
  struct Level {
    bool list = false;
    size_t items = 0;  // or keys
    std::unordered_set<std::string> keys = {};
    std::string key = {};
  };

  void see_key(const std::string& key) {
    ++open_.back().items;
    if (names_ && !open_.back().keys.insert(key).second) {
      std::string path;
      for (size_t i = 0; i + 1 < open_.size(); ++i)
        if (!open_[i].key.empty()) path += open_[i].key + ".";
      throw InputError(
          {.file = file_, .key = printable(path + key), .found = "the key twice", .expected = "each key once"});
    }
    open_.back().key = key;
  }

  void count_item() {
    if (open_.empty() || !open_.back().list) return;
    if (++open_.back().items > limits_.items) refuse("a longer list", limits_.items, "elements");
  }

  // The place is told by the outermost key: in a header that is the tensor.
  [[noreturn]] void refuse(const char* found, size_t limit, const char* unit) const {
    throw InputError({.file = file_,
                      .key = printable(open_.front().key),
                      .found = found,
                      .expected = "at most " + std::to_string(limit) + " " + unit});
  }

  const std::string& file_;
  const JsonLimits& limits_;
  bool names_;
  bool twice_ = false;
  std::vector<Level> open_;
};

// Where in a text a number stands that no double holds: the parser's own exception does not say.
struct NumberPlace : nlohmann::json_sax<json> {
  size_t at = 0;
  std::string digits;

  bool parse_error(size_t position, const std::string& token, const nlohmann::detail::exception&) override {
    at = position;
    digits = token;
    return false;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
};

// Says line and character of what stands at `at`.
[[noreturn]] void refuse_at(size_t at, std::string_view text, const std::string& file, int64_t first_line,
                            const std::string& found, const std::string& detail) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  throw InputError({.file = file,
                    .line = first_line + std::count(before.begin(), before.end(), '\n'),
                    .found = found + " at character " + std::to_string(before.size() - line_begin + 1) + detail,
                    .expected = "valid JSON"});
}

std::string detail_of(const json::parse_error& error) {
  const std::string_view message = error.what();
  if (message.find("unexpected end of input") != std::string_view::npos) return " (it ends there)";
  return message.find("UTF-8") != std::string_view::npos ? " (a byte that is not UTF-8)" : "";
}

}  // namespace

std::string_view without_byte_order_mark(std::string_view text, const std::string& file) {
  if (text.starts_with("\xEF\xBB\xBF")) return text.substr(3);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    throw InputError({.file = file, .line = 1, .found = "UTF-16 text", .expected = "UTF-8"});
  return text;
}

json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits, int64_t line) {
  text = without_byte_order_mark(text, file);
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw InputError({.file = file, .found = "an empty file", .expected = "valid JSON"});
  const auto parse = [&](bool names) {
    Guard guard(file, limits, names);
    json value = json::parse(text.begin(), text.end(), [&guard](int, json::parse_event_t event, json& parsed) {
      guard.see(event, parsed);
      return true;
    });
    return std::pair(std::move(value), guard.saw_key_twice());
  };
  try {
    auto [value, twice] = parse(/*names=*/false);
    if (twice) parse(/*names=*/true);  // throws
    return std::move(value);
  } catch (const json::parse_error& error) {
    refuse_at(error.byte == 0 ? 0 : error.byte - 1, text, file, line, "malformed JSON", detail_of(error));
  } catch (const json::out_of_range&) {
    NumberPlace place;
    json::sax_parse(text.begin(), text.end(), &place);
    refuse_at(place.at - std::min(place.at, place.digits.size()), text, file, line,
              printable(place.digits) + ", a number that no double holds,", "");
  }
}

namespace {

// Python writes infinite numbers as Infinity and -Infinity, which JSON lacks: as texts they are refused by the
// key that wants a number, or understood.
std::string with_texts_for_infinities(const std::string& text) {
  std::string out;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string && c == '\\' && at + 1 < text.size()) {
      out.append(text, at++, 2);
      continue;
    }
    if (c == '"') in_string = !in_string;
    const std::string_view rest = std::string_view(text).substr(at);
    std::string_view word;
    for (const std::string_view name : {"-Infinity", "Infinity"})
      if (!in_string && word.empty() && rest.starts_with(name)) word = name;
    if (word.empty()) {
      out += c;
    } else {
      out.append("\"").append(word).append("\"");
      at += word.size() - 1;
    }
  }
  return out;
}

}  // namespace

json parse_json_map(const std::filesystem::path& path) {
  std::error_code ignored;  // reading it gives the reason
  const auto size = std::filesystem::file_size(path, ignored);
  if (!ignored && size > kLargestFile)
    throw InputError({.file = path.string(),
                      .found = std::to_string(size) + " bytes",
                      .expected = "at most " + std::to_string(kLargestFile)});
  const std::string text = read_file(path);
  refuse_foreign_content(path, text);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw InputError({.file = path.string(), .found = "an empty file", .expected = "a map of keys"});
  json value = parse_json(with_texts_for_infinities(text), path.string());
  if (!value.is_object())
    throw InputError({.file = path.string(), .found = value.type_name(), .expected = "a map of keys"});
  return value;
}

namespace {
// "model.layers.12.mlp" → "12.": a layer's number is no slip, the tensor of another layer never what was meant.
std::string numbers_of(std::string_view name) {
  std::string numbers;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    const auto part = name.substr(at, end - at);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (number) numbers.append(part).append(".");
    at = end + 1;
  }
  return numbers;
}
}  // namespace

std::string printable(std::string_view name) {
  size_t end = std::min(name.size(), kShown);
  if (end < name.size())  // not in the middle of a UTF-8 sequence
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  std::string text(name.substr(0, end));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return end < name.size() ? text + "..." : text;
}

std::string nearest_printable(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr int most_edits = 4;  // of a long name: more is another name, not a slip
  if (name.size() > kShown) return "";
  const std::string numbers = numbers_of(name);
  std::vector<std::string> shown;
  for (const auto& candidate : candidates)
    if (candidate.size() <= kShown && numbers_of(candidate) == numbers) shown.push_back(candidate);
  const std::string nearest = nearest_name(name, shown);
  return edit_distance(name, nearest) <= most_edits ? printable(nearest) : "";
}

}  // namespace attnlab
