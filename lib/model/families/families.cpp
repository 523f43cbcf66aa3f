#include "model/families/families.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "core/find_field.h"
#include "core/json.h"
#include "model/families/forms.h"

namespace attnlab {
namespace {

struct FamilyRow {
  Family family;
  const FamilyForm* form;
};
constexpr std::array<FamilyRow, 13> families{{{Family::llama, &kLlama},
                                              {Family::mistral, &kMistral},
                                              {Family::mixtral, &kMixtral},
                                              {Family::qwen2, &kQwen2},
                                              {Family::qwen3, &kQwen3},
                                              {Family::gemma2, &kGemma2},
                                              {Family::gemma3, &kGemma3},
                                              {Family::phi3, &kPhi3},
                                              {Family::deepseek_v2, &kDeepseekV2},
                                              {Family::deepseek_v3, &kDeepseekV3},
                                              {Family::mamba, &kMamba},
                                              {Family::mamba2, &kMamba2},
                                              {Family::rwkv, &kRwkv}}};

const FamilyForm& form_of(Family family) {
  for (const auto& row : families)
    if (row.family == family) return *row.form;
  ATTNLAB_CHECK(!"a family without a row");
}

Family read_family(const JsonKeys& keys, const std::filesystem::path& file) {
  const std::string type = keys.text("model_type", "");
  if (const auto family = from_name<Family>(type)) return *family;
  throw InputError(BadInput{.file = file.string(),
                            .key = "model_type",
                            .found = type.empty() ? "nothing" : "'" + printable(type) + "'",
                            .expected = one_of(all_names<Family>(), type),
                            .nearest = from_name<Family>(type + "_text")
                                           ? type + "_text"
                                           : nearest_printable(type, all_names<Family>())});
}

DecoderConfig read_keys(const nlohmann::json& json, const std::filesystem::path& file,
                        std::vector<std::string>* notes = nullptr) {
  const JsonKeys keys(json, file, "", notes);
  const Family family = read_family(keys, file);
  const FamilyForm& form = form_of(family);
  if (form.own_keys) {
    DecoderConfig own{.family = family};
    form.read(keys, own);
    return own;
  }
  DecoderConfig config = read_common(keys, form);
  config.family = family;
  form.read(keys, config);
  read_rope(keys, form, config);
  return config;
}

std::optional<BadInput> shape_problem(const DecoderConfig& config) {
  if (config.n_heads % config.n_kv_heads != 0)
    return BadInput{.key = "n_kv_heads",
                    .found = fmt::format("{}", config.n_kv_heads),
                    .expected = fmt::format("a divisor of n_heads = {}", config.n_heads)};
  if (form_of(config.family).own_keys != config.recurrent.has_value())
    return BadInput{.key = "recurrent",
                    .found = config.recurrent ? "sizes of a recurrence" : "nothing",
                    .expected = fmt::format("what family {} has", name_of(config.family))};
  if (!config.mla && !config.recurrent && config.turning_dim() % 2 != 0)
    return BadInput{.key = config.rotary_dim > 0 ? "rotary_dim" : "head_dim",
                    .found = fmt::format("{}", config.turning_dim()),
                    .expected = "an even number (rotary position turns pairs)"};
  if ((config.family == Family::deepseek_v2 || config.family == Family::deepseek_v3) != config.mla.has_value())
    return BadInput{.key = "mla",
                    .found = config.mla ? "sizes of MLA" : "nothing",
                    .expected = fmt::format("what family {} has", name_of(config.family))};
  for (const int64_t layer : config.window_layers)
    if (layer < 0 || layer >= config.n_layers)
      return BadInput{.key = "window_layers",
                      .found = fmt::format("{}", layer),
                      .expected = fmt::format("layers from 0 to {}", config.n_layers - 1)};
  return std::nullopt;
}

// The first key whose value config.json gives back changed: the family cannot say it.
std::optional<BadInput> expression_problem(const DecoderConfig& config) {
  DecoderConfig back;
  const auto written = nlohmann::json::parse(write_decoder_config(config).dump());
  try {
    back = read_keys(written, "");
  } catch (const InputError& error) {
    return error.problem();
  }
  const FlatFields mine = flatten(config), theirs = flatten(back);
  const auto all = differences(mine, theirs);
  if (all.empty()) return std::nullopt;
  const std::string key = all[0].substr(0, all[0].find(':'));
  return BadInput{.key = key,
                  .found = field_text(mine, key, "nothing"),
                  .expected = fmt::format("{}, or another value that family {} can have",
                                          field_text(theirs, key, "nothing"), name_of(config.family))};
}

// Which tensor a fused matrix is part of, and after which rows.
std::optional<FileTensor> fused_place(const DecoderConfig& config, const std::string& name) {
  const int64_t q = config.n_heads * config.head_dim, kv = config.n_kv_heads * config.head_dim;
  struct Part {
    const char* name;
    const char* fused;
    int64_t first_row;
  };
  const std::array<Part, 5> parts{{{"q_proj.weight", "qkv_proj.weight", 0},
                                   {"k_proj.weight", "qkv_proj.weight", q},
                                   {"v_proj.weight", "qkv_proj.weight", q + kv},
                                   {"gate_proj.weight", "gate_up_proj.weight", 0},
                                   {"up_proj.weight", "gate_up_proj.weight", config.d_ff}}};
  for (const auto& part : parts) {
    const std::string ending = std::string(".").append(part.name);
    if (name.ends_with(ending))
      return FileTensor{name.substr(0, name.size() - ending.size() + 1) + part.fused, part.first_row, true};
  }
  return std::nullopt;
}

}  // namespace

const FamilyTraits& traits_of(Family family) { return form_of(family).traits; }

DecoderConfig read_decoder_config(const nlohmann::json& json, const std::filesystem::path& file,
                                  std::vector<std::string>* notes) {
  DecoderConfig config = read_keys(json, file, notes);
  if (auto problem = shape_problem(config)) {
    problem->file = file.string();
    throw InputError(*problem);
  }
  return config;
}

nlohmann::ordered_json write_decoder_config(const DecoderConfig& config, const std::string& dtype) {
  const FamilyForm& form = form_of(config.family);
  nlohmann::ordered_json out;
  out["model_type"] = name_of(config.family);
  if (!form.own_keys) {
    write_common(config, form, out);
    write_rope(config, out);
  } else {
    out["architectures"] = {form.architecture};
  }
  form.write(config, out);
  out["torch_dtype"] = dtype;
  return out;
}

std::optional<BadInput> decoder_problem(const DecoderConfig& config) {
  if (auto problem = shape_problem(config)) return problem;
  return expression_problem(config);
}

FileTensor file_tensor(const DecoderConfig& config, const std::string& name) {
  if (form_of(config.family).fused_projections)
    if (auto place = fused_place(config, name)) return *place;
  if (const auto file_name = form_of(config.family).file_name) return {.name = file_name(name)};
  return {.name = name};
}

}  // namespace attnlab
