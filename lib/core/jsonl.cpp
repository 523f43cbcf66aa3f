#include "core/jsonl.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/errors.h"
#include "core/gzip.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

json parse_object(const std::filesystem::path& path, int64_t line, std::string_view text) {
  json object;
  // The parser would keep the last of equal keys and say nothing.
  std::set<std::string> keys;
  std::string repeated;
  const auto watch = [&](int depth, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second)
      repeated = parsed.get<std::string>();
    return true;
  };
  try {
    object = json::parse(text, watch);
  } catch (const json::parse_error& error) {
    throw InputError(BadInput{.file = path.string(),
                              .line = line,
                              .found = "malformed JSON at character " + std::to_string(error.byte),
                              .expected = "one JSON object a line"});
  }
  if (!object.is_object())
    throw InputError(BadInput{.file = path.string(),
                              .line = line,
                              .found = object.type_name(),
                              .expected = "one JSON object a line"});
  if (!repeated.empty())
    throw InputError(BadInput{.file = path.string(),
                              .line = line,
                              .key = repeated,
                              .found = "the key twice",
                              .expected = "each key once"});
  return object;
}

}  // namespace

void Record::fail(const std::string& key, const std::string& found, const std::string& expected,
                  const std::string& nearest) const {
  throw InputError(BadInput{path.string(), line, key, found, expected, nearest});
}

const json& Record::member(const char* key, const char* expected) const {
  const auto value = object.find(key);
  if (value != object.end()) return *value;
  std::vector<std::string> present;
  for (const auto& [name, unused] : object.items()) present.push_back(name);
  fail(key, "no such key (there are: " + join(present) + ")", expected, nearest_name(key, present));
}

std::string Record::text(const char* key) const {
  const json& value = member(key, "a string");
  if (!value.is_string()) fail(key, value.type_name(), "a string");
  return value.get<std::string>();
}

void for_each_record(const std::filesystem::path& path, const std::function<void(const Record&)>& action) {
  const std::string bytes = read_text_file(path);
  int64_t line = 0, records = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view text = std::string_view(bytes).substr(at, end - at);
    ++line;
    at = end + 1;
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    action(Record{path, line, parse_object(path, line, text)});
    ++records;
  }
  if (records == 0)
    throw InputError(
        BadInput{.file = path.string(), .found = "no examples", .expected = "one JSON object a line"});
}

}  // namespace attnlab
