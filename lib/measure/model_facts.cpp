#include "measure/model_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/dtypes.h"
#include "core/hub_cache.h"
#include "core/json.h"
#include "model/decoder_weights.h"
#include "model/model_form.h"

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

// Of a hybrid, each group of layers: "of", its variant, and its options.
FlatFields options_of(const ModelForm& form) {
  FlatFields out;
  for (const auto& group : layer_groups(form)) {
    const std::string of = is_uniform(form) ? "" : layers_text(group.layers) + ".";
    if (!of.empty()) out.emplace_back(of + "variant", variant_name(group.variant));
    for (auto& [key, value] : variant_fields(group.variant)) out.emplace_back(of + key, std::move(value));
  }
  return out;
}

// Fills config and converted. What can't be counted is refused with the file's name.
void fill_form(const ModelForm& form, const fs::path& file, ModelFacts& facts) {
  facts.config = form.config;
  facts.packing = form.packing;
  facts.sliced = form.sliced;
  try {
    count_parameters(form.config);
    if (is_native(form)) return;
    facts.converted = {.variant = form_name(form), .options = options_of(form), .form = kv_form(form)};
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
  fill_form(read_model_form(json, file, &facts.notes), file, facts);
  return facts;
}

ModelFacts read_model_facts(const fs::path& named) {
  const fs::path folder = find_model_folder(named);
  const bool bare = fs::is_regular_file(folder / kConfigFile) && !fs::exists(folder / kWeightsFile) &&
                    !fs::exists(folder / kIndexFile);
  ModelFacts facts;
  if (bare) {
    facts = read_config_facts(folder / kConfigFile);
  } else {
    const auto checkpoint = Checkpoint::open(folder);
    fill_form(read_checkpoint_form(checkpoint), folder / kConfigFile, facts);
    facts.notes = checkpoint.notes();
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
