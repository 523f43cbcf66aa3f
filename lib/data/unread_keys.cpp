#include "data/unread_keys.h"

#include <nlohmann/json.hpp>

#include "core/json.h"

namespace attnlab {
namespace {

constexpr size_t kNamed = 8;  // files of other uses have hundreds

bool tells_origin(std::string_view key) {
  static const std::set<std::string_view> names{
      "id",     "idx",     "index", "uid",      "uuid", "prompt_id", "conversation_id",
      "source", "dataset", "url",   "split",    "meta", "metadata",  "category",
      "topic",  "title",   "lang",  "language", "date", "created",   "timestamp"};
  return names.contains(key);
}

}  // namespace

void UnreadKeys::see(const nlohmann::json& object, const std::set<std::string_view>& read, int64_t line,
                     const std::string& place) {
  for (const auto& [key, value] : object.items()) {
    if (read.contains(key) || value.is_null() || tells_origin(key)) continue;
    Seen& seen = seen_[place + printable(key)];
    if (++seen.times == 1) seen.first_line = line;
  }
}

void UnreadKeys::note(const std::filesystem::path& path, std::vector<std::string>& notes) const {
  if (seen_.empty()) return;
  std::string names;
  size_t named = 0;
  for (const auto& [key, seen] : seen_) {
    if (++named > kNamed) break;
    names += (named > 1 ? ", " : "") + key + " (" + std::to_string(seen.times) + " times, first in line " +
             std::to_string(seen.first_line) + ")";
  }
  if (seen_.size() > kNamed) names += " and " + std::to_string(seen_.size() - kNamed) + " more";
  notes.push_back(path.string() + ": keys that are not read: " + names);
}

}  // namespace attnlab
