#include "measure/model_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/dtypes.h"
#include "checkpoint/json.h"
#include "model/decoder_form.h"

namespace attnlab {
namespace {
namespace fs = std::filesystem;

// Both forms of config.json: "dtype", or "torch_dtype" before it.
std::string config_dtype(const nlohmann::json& config) {
  for (const char* key : {"dtype", "torch_dtype"})
    if (const auto found = config.find(key); found != config.end() && found->is_string())
      return printable(found->get<std::string>());
  return "";
}

WeightFacts read_weight_facts(const Checkpoint& checkpoint) {
  WeightFacts facts;
  for (const auto& name : checkpoint.names()) {
    int64_t numbers = 1;
    for (const int64_t size : checkpoint.shape(name)) numbers *= size;
    ++facts.tensors;
    facts.parameters += numbers;
    facts.dtypes[dtype_name(checkpoint.dtype(name))] += numbers;
  }
  return facts;
}

// Layer by layer, as no formula knows every variant.
KvForm count_form(const DecoderForm& form) {
  const ShapesOnly no_memory;
  KvForm out{.name = variant_name(form.variant), .own = true};
  int64_t numbers = 0;
  bool alike = true;  // all layers
  for (int64_t i = 0; i < form.config.n_layers; ++i) {
    const auto attention = make_attention(form.config.attention_shape(i), form.variant);
    const auto layout = attention->cache_layout();
    std::vector<std::string> slots;
    for (const auto& slot : layout) slots.push_back(fmt::format("{} {}", slot.width, slot.name));
    const std::string formula = join(slots, " + ");
    if (i > 0 && formula != out.formula) alike = false;
    out.formula = formula;
    numbers += cached_numbers(layout);
    for (const auto& parameter : attention->parameters()) out.attention_params += parameter.numel();
  }
  out.numbers = numbers / form.config.n_layers;
  if (!alike) out.formula = fmt::format("{} in all / {} layers", numbers, form.config.n_layers);
  return out;
}

// Fills config and converted. What can't be counted is refused with the file's name.
void read_form(const nlohmann::json& json, const fs::path& file, ModelFacts& facts) {
  const DecoderForm form = read_decoder_form(json, file);
  facts.config = form.config;
  try {
    count_parameters(form.config);
    if (is_native(form)) return;
    const auto options = std::visit([](const auto& held) { return flatten(held); }, form.variant);
    facts.converted = {.variant = variant_name(form.variant), .options = options, .form = count_form(form)};
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.file = file.string();
    throw InputError(problem);
  } catch (const c10::Error&) {
    throw InputError(BadInput{.file = file.string(),
                              .found = "sizes whose product overflows",
                              .expected = "sizes that can be counted"});
  }
}

}  // namespace

ModelFacts read_config_facts(const fs::path& file) {
  const auto json = parse_json_map(file);
  ModelFacts facts{.source = file, .dtype = config_dtype(json)};
  read_form(json, file, facts);
  return facts;
}

ModelFacts read_model_facts(const fs::path& folder) {
  const bool bare = fs::is_regular_file(folder / kConfigFile) && !fs::exists(folder / kWeightsFile) &&
                    !fs::exists(folder / kIndexFile);
  ModelFacts facts;
  if (bare) {
    facts = read_config_facts(folder / kConfigFile);
  } else {
    const auto checkpoint = Checkpoint::open(folder);
    read_form(checkpoint.config(), folder / kConfigFile, facts);
    facts.weights = read_weight_facts(checkpoint);
    const auto& dtypes = facts.weights->dtypes;
    const auto most = std::max_element(dtypes.begin(), dtypes.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    facts.dtype = most == dtypes.end() ? config_dtype(checkpoint.config()) : most->first;
  }
  facts.source = folder;
  return facts;
}

int64_t dtype_bits(const std::string& dtype) {
  return dtype == "float64" ? 64 : dtype == "float32" ? 32 : dtype.starts_with("float8") ? 8 : 16;
}

}  // namespace attnlab
