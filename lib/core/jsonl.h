// Files of one JSON object a line.
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
  bool has(const char* key) const { return object.contains(key); }
  // A member that must be there; `text`: one that must be a string.
  const nlohmann::json& member(const char* key, const char* expected) const;
  std::string text(const char* key) const;
};

// Calls `action` for each line that is not blank; the file may be gzipped. Throws InputError for what is no
// JSON object, for an object that gives a key twice, and if there is none at all.
void for_each_record(const std::filesystem::path& path, const std::function<void(const Record&)>& action);

}  // namespace attnlab
