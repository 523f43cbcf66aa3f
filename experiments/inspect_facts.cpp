#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/json.h"
#include "inspect_report.h"
#include "model/families/families.h"
#include "torch_program.h"

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

DecoderConfig read_config(const nlohmann::json& json, const fs::path& file) {
  DecoderConfig config = read_decoder_config(json, file);
  try {
    count_parameters(config);
  } catch (const InputError& error) {
    BadInput problem = error.problem();
    problem.file = file.string();
    throw InputError(problem);
  }
  return config;
}

}  // namespace

ModelFacts read_config_facts(const fs::path& file) {
  const auto json = parse_json_map(file);
  return {.source = file, .config = read_config(json, file), .dtype = config_dtype(json)};
}

ModelFacts read_model_facts(const fs::path& folder) {
  const bool bare = fs::is_regular_file(folder / kConfigFile) && !fs::exists(folder / kWeightsFile) &&
                    !fs::exists(folder / kIndexFile);
  ModelFacts facts;
  if (bare) {
    facts = read_config_facts(folder / kConfigFile);
  } else {
    const auto checkpoint = Checkpoint::open(folder);
    facts.config = read_config(checkpoint.config(), folder / kConfigFile);
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
