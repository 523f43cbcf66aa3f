#include "checkpoint/json.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/errors.h"
#include "core/files.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestFile = 100'000'000;
constexpr size_t kShown = 200;  // bytes of a name in a message

// Sees each event of the parser, which by itself keeps one of two equal keys and has no bound on nesting.
class Guard {
 public:
  Guard(const std::string& file, const JsonLimits& limits) : file_(file), limits_(limits) {}

  void see(json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        count_item();
        if (open_.size() == limits_.depth) refuse("nested values", limits_.depth, "levels");
        open_.push_back({.list = event == json::parse_event_t::array_start});
        return;
      case json::parse_event_t::object_end:
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
    size_t items = 0;
    std::set<std::string> keys = {};
    std::string key = {};
  };

  void see_key(const std::string& key) {
    const std::string prefix = open_.size() > 1 ? open_.front().key + "." : "";
    if (!open_.back().keys.insert(key).second)
      throw InputError({.file = file_,
                        .key = printable(prefix + key),
                        .found = "the key twice",
                        .expected = "each key once"});
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
  std::vector<Level> open_;
};

// The parser's message without its "[json.exception…]" tag.
std::string reason(const json::exception& error) {
  const std::string_view text = error.what();
  const size_t tag = text.find("] ");
  return "\"" + printable(tag == std::string_view::npos ? text : text.substr(tag + 2)) + "\"";
}

}  // namespace

json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
  Guard guard(file, limits);
  const auto see = [&guard](int, json::parse_event_t event, json& parsed) {
    guard.see(event, parsed);
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), see);
  } catch (const json::parse_error& error) {
    const auto seen = std::min(error.byte, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(seen), '\n');
    throw InputError({.file = file, .line = line, .found = reason(error), .expected = "valid JSON"});
  } catch (const json::exception& error) {
    throw InputError({.file = file, .found = reason(error), .expected = "valid JSON"});
  }
}

json parse_json_map(const std::filesystem::path& path) {
  std::error_code ignored;  // reading it gives the reason
  const auto size = std::filesystem::file_size(path, ignored);
  if (!ignored && size > kLargestFile)
    throw InputError({.file = path.string(),
                      .found = std::to_string(size) + " bytes",
                      .expected = "at most " + std::to_string(kLargestFile)});
  json value = parse_json(read_file(path), path.string());
  if (!value.is_object())
    throw InputError({.file = path.string(), .found = value.type_name(), .expected = "a map of keys"});
  return value;
}

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
  if (name.size() > kShown) return "";
  std::vector<std::string> shown;
  for (const auto& candidate : candidates)
    if (candidate.size() <= kShown) shown.push_back(candidate);
  return printable(nearest_name(name, shown));
}

}  // namespace attnlab
