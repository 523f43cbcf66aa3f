#include "support.h"

#include "core/files.h"
#include "core/jsonl.h"

namespace attnlab::test {

nlohmann::json read_json(const std::filesystem::path& path) { return nlohmann::json::parse(read_file(path)); }

std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path) {
  std::vector<nlohmann::json> rows;
  for_each_record(path, [&](const Record& record) { rows.push_back(record.object); });
  return rows;
}

}  // namespace attnlab::test
