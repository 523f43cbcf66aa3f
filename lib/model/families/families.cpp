#include "model/families/families.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "model/families/json_keys.h"

namespace attnlab {
namespace {

struct FamilyRow {
  Family family;
  void (*read)(const JsonKeys& keys, DecoderConfig& config);
  void (*write)(const DecoderConfig& config, nlohmann::ordered_json& out);
};
constexpr std::array<FamilyRow, 3> families{{{Family::llama, read_llama, write_llama},
                                             {Family::mistral, read_mistral, write_mistral},
                                             {Family::qwen2, read_qwen2, write_qwen2}}};

const FamilyRow& row_of(Family family) {
  for (const auto& row : families)
    if (row.family == family) return row;
  ATTNLAB_CHECK(!"a family without a row");
}

// What the HF config of each family can say about biases.
bool biases_fit(const DecoderConfig& config) {
  if (config.family == Family::qwen2) return config.qkv_bias && !config.o_bias;
  if (config.family == Family::mistral) return !config.qkv_bias && !config.o_bias;
  return config.qkv_bias == config.o_bias;
}

}  // namespace

DecoderConfig read_decoder_config(const nlohmann::json& json, const std::filesystem::path& file) {
  const JsonKeys keys(json, file);
  const std::string type = keys.text("model_type", "");
  const auto family = from_name<Family>(type);
  if (!family)
    throw InputError(BadInput{.file = file.string(),
                              .key = "model_type",
                              .found = type.empty() ? "nothing" : "'" + type + "'",
                              .expected = "one of " + join(all_names<Family>()),
                              .nearest = nearest_name(type, all_names<Family>())});
  DecoderConfig config = read_common(keys);
  config.family = *family;
  row_of(*family).read(keys, config);
  if (auto problem = decoder_problem(config)) {
    problem->file = file.string();
    throw InputError(*problem);
  }
  return config;
}

nlohmann::ordered_json write_decoder_config(const DecoderConfig& config) {
  nlohmann::ordered_json out;
  out["model_type"] = name_of(config.family);
  write_common(config, out);
  row_of(config.family).write(config, out);
  out["torch_dtype"] = "float32";
  return out;
}

std::optional<BadInput> decoder_problem(const DecoderConfig& config) {
  if (config.n_heads % config.n_kv_heads != 0)
    return BadInput{.key = "n_kv_heads",
                    .found = fmt::format("{}", config.n_kv_heads),
                    .expected = fmt::format("a divisor of n_heads = {}", config.n_heads)};
  if (config.head_dim % 2 != 0)
    return BadInput{.key = "head_dim",
                    .found = fmt::format("{}", config.head_dim),
                    .expected = "an even number (rotary position turns pairs)"};
  if (!biases_fit(config))
    return BadInput{.key = "qkv_bias",
                    .found = fmt::format("qkv_bias {}, o_bias {}", config.qkv_bias, config.o_bias),
                    .expected = fmt::format("biases that family {} has", name_of(config.family))};
  return std::nullopt;
}

}  // namespace attnlab
