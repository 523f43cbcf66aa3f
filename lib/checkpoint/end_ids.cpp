#include "checkpoint/end_ids.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr const char* kKey = "eos_token_id";

void add_ids(const nlohmann::json& config, const std::filesystem::path& file, std::vector<int64_t>& ids) {
  if (!config.is_object() || !config.contains(kKey) || config.at(kKey).is_null()) return;
  const auto& value = config.at(kKey);
  for (const auto& id : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!id.is_number_integer() || id < 0)
      throw InputError(BadInput{.file = file.string(),
                                .key = kKey,
                                .found = id.is_number() ? id.dump() : std::string("a JSON ") + id.type_name(),
                                .expected = "a token id or a list of them"});
    const auto number = id.get<int64_t>();
    if (std::find(ids.begin(), ids.end(), number) == ids.end()) ids.push_back(number);
  }
}

}  // namespace

std::vector<int64_t> end_ids(const Checkpoint& checkpoint) {
  std::vector<int64_t> ids;
  add_ids(checkpoint.config(), checkpoint.folder() / "config.json", ids);
  add_ids(checkpoint.generation_config(), checkpoint.folder() / "generation_config.json", ids);
  return ids;
}

}  // namespace attnlab
