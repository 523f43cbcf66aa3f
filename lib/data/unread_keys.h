// Keys of examples that no reader reads: what they mean to others would be lost in silence.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

class UnreadKeys {
 public:
  // Of an object in `line`; `place` stands before its keys in the note ("messages[]."). Keys that are `read`,
  // that hold null, or that tell where an example is from (id, source, …) don't count.
  void see(const nlohmann::json& object, const std::set<std::string_view>& read, int64_t line,
           const std::string& place = "");
  // One line on all of them, if there are any.
  void note(const std::filesystem::path& path, std::vector<std::string>& notes) const;

 private:
  struct Seen {
    int64_t times = 0, first_line = 0;
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace attnlab
