// A tiny model of each family, twice: as the config.json that its files would carry and, written by hand beside
// it, as what that config means to the naive twin. Sizes are odd: heads 3 of 1 and 6 of 2, head_dim no quotient
// of the width, windows of 5, longrope's switch at 16.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/decoder_weights.h"
#include "reference/decoder_twin.h"

namespace attnlab::test {

struct FamilyCase {
  std::string name;
  nlohmann::ordered_json json;
  reference::TwinConfig twin;
  std::vector<std::string> holds = {};  // tensors that its files have, beside those of every decoder
  std::vector<std::string> lacks = {};
};

inline constexpr int64_t kVocab = 37;

std::vector<FamilyCase> family_cases();
std::vector<FamilyCase> deepseek_cases();  // those of them

// Keys and sizes that every case has; `more` replaces or adds keys.
struct CaseSizes {
  int64_t heads, kv_heads, head_dim, layers;
};
FamilyCase make_case(const std::string& name, const std::string& type, const CaseSizes& sizes,
                     const nlohmann::ordered_json& more);
inline const std::string kFirst = "model.layers.0.self_attn.";

// Random weights by the decoder's names, all of them lively: matrices of deviation 0.3, biases too, and norms
// that vary by as much. A pure function of the seed.
TensorMap family_weights(const DecoderConfig& config, uint64_t seed = 1);

// Tensors by the files' names as the twin takes them.
reference::NamedValues twin_tensors(const DecoderConfig& config, const TensorMap& weights);

}  // namespace attnlab::test
