// What a model's folder says of it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/kv_budget.h"

namespace attnlab {

// What the headers of a checkpoint's weights say.
struct WeightFacts {
  int64_t tensors = 0;
  int64_t parameters = 0;
  std::map<std::string, int64_t> dtypes;  // name → parameters
};

// Attention that is not the family's: config.json is in the project's own layout (model/model_form.h).
struct ConvertedFacts {
  std::string variant;
  FlatFields options;
  KvForm form;  // its cache and parameters
};

struct ModelFacts {
  std::filesystem::path source;
  DecoderConfig config;  // of the base, where the model was converted
  std::optional<ConvertedFacts> converted;
  std::optional<MatrixPacking> packing;  // of quantised weights
  std::optional<SlicedStream> sliced;
  std::optional<WeightFacts> weights;
  std::string dtype;  // of most weights; without weights what config.json says; "" if it says nothing
  std::vector<std::string> notes;  // what was passed over in reading
};

// A model folder. Only headers are read of the weights (and a matrix that config.json says is there twice), and
// they may be absent. Throws InputError.
ModelFacts read_model_facts(const std::filesystem::path& folder);
// A config.json alone.
ModelFacts read_config_facts(const std::filesystem::path& file);

// Bits of one number of that type; 16 for "".
int64_t dtype_bits(const std::string& dtype);

}  // namespace attnlab
