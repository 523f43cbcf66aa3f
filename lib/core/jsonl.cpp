#include "core/jsonl.h"

#include <algorithm>
#include <string_view>

#include "core/errors.h"
#include "core/gzip.h"
#include "core/json.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

constexpr const char* kExpected = "one JSON object a line";
constexpr std::string_view kBlank = " \t\r\n";

[[noreturn]] void refuse(const std::filesystem::path& path, int64_t line, std::string found) {
  throw InputError(
      BadInput{.file = path.string(), .line = line, .found = std::move(found), .expected = kExpected});
}

json parse_object(const std::filesystem::path& path, int64_t line, std::string_view text) {
  json object;
  try {
    object = parse_json(text, path.string(), {}, line);
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    if (problem.line == 0) problem.line = line;
    if (problem.key.empty()) problem.expected = kExpected;
    throw InputError(problem);
  }
  if (!object.is_object()) refuse(path, line, object.type_name());
  return object;
}

using Action = std::function<void(std::string_view, int64_t)>;

void for_each_line(std::string_view bytes, const Action& action) {
  int64_t line = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view text = bytes.substr(at, end - at);
    ++line;
    at = end + 1;
    if (text.find_first_not_of(kBlank) != std::string_view::npos) action(text, line);
  }
}

// The elements of one array, as texts: where they end is told by brackets outside of strings, and what they
// hold is for the parser.
class ArrayCutter {
 public:
  ArrayCutter(const std::filesystem::path& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

  void for_each(const Action& action) {
    skip_blank();
    ++at_;  // the bracket that opens it
    skip_blank();
    if (at_ < bytes_.size() && bytes_[at_] == ']') return end();
    for (;;) {
      skip_blank();
      const size_t begin = at_;
      const int64_t line = line_;
      skip_value();
      if (at_ == bytes_.size()) fail("an array that ends too early");
      if (at_ == begin) fail("nothing between commas");
      action(bytes_.substr(begin, at_ - begin), line);
      if (bytes_[at_] == ']') return end();
      ++at_;
    }
  }

 private:
  [[noreturn]] void fail(const char* found) const {
    throw InputError(BadInput{.file = path_.string(),
                              .line = line_,
                              .found = found,
                              .expected = "one JSON array of objects, or one object a line"});
  }
  void step() {
    if (bytes_[at_++] == '\n') ++line_;
  }
  void skip_blank() {
    while (at_ < bytes_.size() && kBlank.find(bytes_[at_]) != std::string_view::npos) step();
  }
  void skip_string() {
    for (++at_; at_ < bytes_.size() && bytes_[at_] != '"'; step())
      if (bytes_[at_] == '\\' && at_ + 1 < bytes_.size()) step();
    at_ = std::min(at_ + 1, bytes_.size());
  }
  // Up to the comma or bracket behind it.
  void skip_value() {
    for (int64_t depth = 0; at_ < bytes_.size();) {
      const char c = bytes_[at_];
      if (depth == 0 && (c == ',' || c == ']')) return;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (c == '"') {
        skip_string();
      } else {
        step();
      }
    }
  }
  void end() {
    ++at_;
    skip_blank();
    if (at_ < bytes_.size()) fail("more behind the array");
  }

  const std::filesystem::path& path_;
  std::string_view bytes_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

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

std::string document_of(const Record& record) {
  if (record.has("prompt") && record.has("canonical_solution"))
    return record.text("prompt") + record.text("canonical_solution");
  if (record.has("text") && record.has("code")) return record.text("text") + "\n" + record.text("code");
  if (!record.has("text") && record.has("question") && record.has("answer"))
    return record.text("question") + "\n" + record.text("answer");
  return record.text("text");
}

void for_each_record(const std::filesystem::path& path, const std::function<void(const Record&)>& action,
                     bool none_will_do) {
  const std::string bytes = read_text_file(path);
  const std::string_view text = without_byte_order_mark(bytes, path.string());
  int64_t records = 0;
  const auto read = [&](std::string_view object, int64_t line) {
    action(Record{path, line, parse_object(path, line, object)});
    ++records;
  };
  const size_t first = text.find_first_not_of(kBlank);
  if (first != std::string_view::npos && text[first] == '[') {
    ArrayCutter(path, text).for_each(read);
  } else {
    for_each_line(text, read);
  }
  if (records == 0 && !none_will_do)
    throw InputError(BadInput{.file = path.string(),
                              .found = bytes.empty() ? "an empty file" : "no examples",
                              .expected = kExpected});
}

}  // namespace attnlab
