// What the attention tests share: odd shapes, random modules and inputs, comparisons with a derived tolerance.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attention/attend.h"
#include "attention/gqa_weights.h"
#include "attention/mixer.h"
#include "attention/rotary.h"
#include "attention/variant_config.h"

namespace attnlab::test {

inline constexpr auto kDouble = torch::kFloat64;

struct Size {
  std::string name;
  AttentionShape shape;
  int64_t B = 1, T = 1;
};

// GQA, MQA and MHA, with and without biases; no size is a power of two. The last is narrower than a head.
std::vector<Size> odd_sizes();

// Every row of the variant table that is made from GQA, at its defaults: what must hold for all of them, new
// ones included.
std::vector<VariantConfig> all_variants();
// GQA and the forms of TransMLA v1 that compute exactly what it does.
std::vector<VariantConfig> exact_variants();
// Those and the orthogonal one at rank 3: all that the naive twin covers.
std::vector<VariantConfig> twin_variants();
// "mla_orthogonal, split right" and the like, for messages.
std::string label(const VariantConfig& config);

// A module with normal weights of standard deviation 1/√(inputs) and biases of 0.3, so that all sums stay near
// 1; the same for the same seed.
std::shared_ptr<Mixer> random_attention(const Size& size, const VariantConfig& config, torch::ScalarType dtype,
                                        uint64_t seed);
// The module's weights as what variants are converted from; the module must be a GQA one.
GqaWeights gqa_weights(const Mixer& gqa);
// The module with these parameters, in their type. Names and shapes must match exactly.
std::shared_ptr<Mixer> with_parameters(std::shared_ptr<Mixer> module, const TensorMap& tensors);
// The variant with the weights that convert_from_gqa gives for `gqa`.
std::shared_ptr<Mixer> converted(const Mixer& gqa, const VariantConfig& config);
// The same of a row that may not stand in the table yet.
template <Variant Row>
std::shared_ptr<Mixer> converted_to(const Mixer& gqa, const typename Row::Config& config = {}) {
  const torch::NoGradGuard no_grad;
  return with_parameters(Row::make(gqa.shape(), config), Row::from_gqa(gqa.shape(), config, gqa_weights(gqa)));
}

// The tokens of a batch, and what their sequence is made of: all of it, from column 0.
struct Tokens {
  torch::Tensor x_BTD;
  SequenceParts parts;

  RotaryTables& tables() { return parts.rotary.at(0); }
  const RotaryTables& tables() const { return parts.rotary.at(0); }
  // The tokens [from, from + T) behind those before them.
  MixerInput pass(int64_t from, int64_t T, LayerState* state = nullptr) const;
  operator MixerInput() const { return pass(0, x_BTD.size(1)); }
};

// Normal hidden states [B, T, D], and tables for positions 0 … T - 1 for all rows: as wide as a head, or as the
// variant turns.
Tokens random_input(const Size& size, torch::ScalarType dtype, uint64_t seed);
Tokens random_input(const Size& size, torch::ScalarType dtype, uint64_t seed, const VariantConfig& config);

// The prompt in one pass, then one token at a time.
torch::Tensor decode(Mixer& module, const Tokens& all, int64_t prompt);

// eps · (terms summed along the chain) · the largest element. A sum of n terms errs by at most n eps Σ|terms|;
// errors of random signs grow as √n and Σ|terms| as √n times the sum itself, so n eps |sum|, and stages add up.
// The chain: projections in (D), up-projection (R = G H), scores (H), softmax and its product (2 T), projection
// out (N H); `passes` is 1 for a forward, 3 with a backward (it has two products per product). Gradients of
// weights sum over B T tokens besides.
double tolerance(const Size& size, torch::ScalarType dtype, const torch::Tensor& expected, int passes = 1);

// max |found - expected| ≤ bound; a failure tells the worst element. NaN anywhere fails.
bool close(const torch::Tensor& found, const torch::Tensor& expected, double bound);

// The variant with these parameters, in their type.
std::shared_ptr<Mixer> loaded(const AttentionShape& shape, const VariantConfig& config,
                              const TensorMap& tensors);

}  // namespace attnlab::test
