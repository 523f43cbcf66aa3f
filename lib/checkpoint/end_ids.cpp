#include "checkpoint/end_ids.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "core/add_once.h"
#include "core/errors.h"

namespace attnlab {
namespace {

constexpr int64_t kLargestId = std::numeric_limits<int32_t>::max();

int64_t read_id(const nlohmann::json& id, const char* key, const std::filesystem::path& file,
                const char* expected) {
  // An unsigned number above 2⁶³ would come out negative.
  const bool valid = id.is_number_integer() && id >= 0 && id <= kLargestId;
  if (valid) return id.get<int64_t>();
  throw InputError(BadInput{.file = file.string(),
                            .key = key,
                            .found = id.is_number() ? id.dump() : std::string("a JSON ") + id.type_name(),
                            .expected = expected});
}

void add_ids(const nlohmann::json& config, const std::filesystem::path& file, std::vector<int64_t>& ids) {
  constexpr const char* key = "eos_token_id";
  if (!config.is_object() || !config.contains(key) || config.at(key).is_null()) return;
  const auto& value = config.at(key);
  for (const auto& id : value.is_array() ? value : nlohmann::json::array({value}))
    add_once(ids, read_id(id, key, file, "a token id or a list of them"));
}

}  // namespace

std::vector<int64_t> end_ids(const Checkpoint& checkpoint) {
  std::vector<int64_t> ids;
  add_ids(checkpoint.config(), checkpoint.folder() / kConfigFile, ids);
  add_ids(checkpoint.generation_config(), checkpoint.folder() / kGenerationConfigFile, ids);
  return ids;
}

std::optional<int64_t> begin_id(const Checkpoint& checkpoint) {
  constexpr const char* key = "bos_token_id";
  const auto found = checkpoint.config().find(key);
  if (found == checkpoint.config().end() || found->is_null()) return std::nullopt;
  return read_id(*found, key, checkpoint.folder() / kConfigFile, "a token id, or null");
}

}  // namespace attnlab
