// Files of JSON objects: the one reader of them, for data, tasks, replies and texts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace attnlab {

// One object and where it stands. All members throw InputError with file, line and key.
struct Record {
  const std::filesystem::path& path;
  int64_t line;
  nlohmann::json object;

  [[noreturn]] void fail(const std::string& key, const std::string& found, const std::string& expected,
                         const std::string& nearest = "") const;
  // Whether there is such a member; null counts as none, as pandas and datasets write what is absent.
  bool has(const char* key) const {
    const auto member = object.find(key);
    return member != object.end() && !member->is_null();
  }
  // A member that must be there; `text`: one that must be a string.
  const nlohmann::json& member(const char* key, const char* expected) const;
  std::string text(const char* key) const;
};

// What a record says as a document to read: its `text`; of a problem in GSM8K's form `question` and `answer`,
// one under the other; of a function in MBPP's form `text` and `code`, or, with HumanEval's keys beside them,
// `prompt` and `canonical_solution`. generate_data writes these forms. Throws InputError as
// Record::text("text") where none is there.
std::string document_of(const Record& record);

// Calls `action` for each object of a file of one JSON object a line, or of one JSON array of objects (each
// told by the line that it begins in). The file may be gzipped, begin with a byte order mark, hold blank lines
// and end its lines as Windows does. Throws InputError for what is no JSON object, for a map that gives a key
// twice, and if there is no object at all, unless none_will_do.
void for_each_record(const std::filesystem::path& path, const std::function<void(const Record&)>& action,
                     bool none_will_do = false);

}  // namespace attnlab
