#include "support.h"

#include <cmath>
#include <limits>

#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "core/fields.h"

namespace attnlab::test {

std::vector<Size> odd_sizes() {
  return {
      {"gqa 6/2, biases", {37, 6, 2, 10, true, true}, 1, 63},
      {"mqa 4/1, qkv biases", {29, 4, 1, 6, true, false}, 3, 111},
      {"mha 5/5, no bias", {33, 5, 5, 6, false, false}, 3, 63},
      {"narrower than a head", {5, 6, 2, 14, true, false}, 3, 21},
  };
}

std::vector<VariantConfig> all_variants() {
  std::vector<VariantConfig> configs;
  for (const auto& name : variant_names_for(odd_sizes()[0].shape)) configs.push_back(*variant_defaults(name));
  return configs;
}

std::vector<VariantConfig> exact_variants() {
  std::vector<VariantConfig> configs{Gqa::Config{}, MlaIdentity::Config{}};
  for (const auto split : {SingularSplit::balanced, SingularSplit::left, SingularSplit::right})
    configs.push_back(MlaOrthogonal::Config{.split = split, .rank = {}});
  return configs;
}

std::vector<VariantConfig> twin_variants() {
  auto configs = exact_variants();
  configs.push_back(MlaOrthogonal::Config{.rank = 3});
  return configs;
}

std::string label(const VariantConfig& config) {
  std::string text = variant_name(config);
  for (const auto& [key, value] : variant_fields(config)) text += ", " + key + " " + to_text(value);
  return text;
}

std::shared_ptr<Mixer> random_attention(const Size& size, const VariantConfig& config, torch::ScalarType dtype,
                                        uint64_t seed) {
  torch::manual_seed(seed);
  auto module = make_mixer(size.shape, config);
  module->to(dtype);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : module->parameters())
    parameter.normal_(0, parameter.dim() == 1 ? 0.3 : 1 / std::sqrt(static_cast<double>(parameter.size(1))));
  return module;
}

GqaWeights gqa_weights(const Mixer& gqa) {
  TensorMap tensors;
  for (const auto& item : gqa.named_parameters()) tensors[item.key()] = item.value().detach();
  return attnlab::gqa_weights(tensors);
}

std::shared_ptr<Mixer> with_parameters(std::shared_ptr<Mixer> module, const TensorMap& tensors) {
  module->to(tensors.begin()->second.scalar_type());
  const torch::NoGradGuard no_grad;
  const auto parameters = module->named_parameters();
  REQUIRE(parameters.size() == tensors.size());
  for (const auto& item : parameters) {
    CAPTURE(item.key());
    REQUIRE(tensors.contains(item.key()));
    const auto& tensor = tensors.at(item.key());
    REQUIRE(tensor.sizes() == item.value().sizes());
    REQUIRE(tensor.scalar_type() == item.value().scalar_type());
    item.value().copy_(tensor);
  }
  return module;
}

std::shared_ptr<Mixer> converted(const Mixer& gqa, const VariantConfig& config) {
  return with_parameters(make_mixer(gqa.shape(), config),
                         convert_from_gqa(gqa.shape(), config, gqa_weights(gqa)));
}

MixerInput Tokens::pass(int64_t from, int64_t T, LayerState* state) const {
  SequenceParts part = parts;
  part.begin = from;
  part.T = T;
  if (from > 0 || T < x_BTD.size(1)) {
    for (auto& [cos, sin] : part.rotary) cos = cos.narrow(1, 0, from + T), sin = sin.narrow(1, 0, from + T);
    if (part.mask_B1TS.defined()) part.mask_B1TS = part.mask_B1TS.narrow(2, from, T).narrow(3, 0, from + T);
  }
  return {.x_BTD = x_BTD.narrow(1, from, T),
          .sequence = std::make_shared<const Sequence>(std::move(part)),
          .rotary = 0,
          .state = state};
}

Tokens random_input(const Size& size, torch::ScalarType dtype, uint64_t seed) {
  return random_input(size, dtype, seed, Gqa::Config{});
}

Tokens random_input(const Size& size, torch::ScalarType dtype, uint64_t seed, const VariantConfig& config) {
  torch::manual_seed(seed);
  Tokens input;
  input.x_BTD = torch::randn({size.B, size.T, size.shape.d_model}, dtype);
  const auto positions = torch::arange(size.T).unsqueeze(0);
  const int64_t width = variant_turning_dim(size.shape, config, size.shape.head_dim);
  input.parts.rotary.push_back(rotary_tables(positions, width, 10000.0, dtype));
  return input;
}

torch::Tensor decode(Mixer& module, const Tokens& all, int64_t prompt) {
  const int64_t B = all.x_BTD.size(0), T = all.x_BTD.size(1);
  LayerState state(module.state_layout_on(torch::kCPU), B, T, all.x_BTD.options());
  std::vector<torch::Tensor> outputs{module.forward(all.pass(0, prompt, &state))};
  for (int64_t t = prompt; t < T; ++t) outputs.push_back(module.forward(all.pass(t, 1, &state)));
  CHECK(state.length() == T);
  return torch::cat(outputs, 1);
}

double tolerance(const Size& size, torch::ScalarType dtype, const torch::Tensor& expected, int passes) {
  const auto& shape = size.shape;
  int64_t terms = shape.d_model + shape.n_kv_heads * shape.head_dim + shape.head_dim + 2 * size.T +
                  shape.n_heads * shape.head_dim;
  if (passes > 1) terms = passes * terms + size.B * size.T;
  const double eps = dtype == torch::kFloat64   ? std::numeric_limits<double>::epsilon()
                     : dtype == torch::kFloat32 ? std::numeric_limits<float>::epsilon()
                                                : 1.0 / 128;
  return eps * static_cast<double>(terms) * expected.abs().max().item<double>();
}

bool close(const torch::Tensor& found, const torch::Tensor& expected, double bound) {
  if (found.sizes() != expected.sizes()) {
    UNSCOPED_INFO("sizes " << found.sizes() << " against " << expected.sizes());
    return false;
  }
  const auto a = found.detach().to(torch::kFloat64).flatten(),
             b = expected.detach().to(torch::kFloat64).flatten();
  const auto error = (a - b).abs().nan_to_num(std::numeric_limits<double>::infinity());
  const auto worst = error.argmax();
  const double largest = error[worst].item<double>();
  if (largest <= bound) return true;
  UNSCOPED_INFO("element " << worst.item<int64_t>() << ": " << a[worst].item<double>() << " against "
                           << b[worst].item<double>() << ", apart by " << largest << ", bound " << bound);
  return false;
}

std::shared_ptr<Mixer> loaded(const AttentionShape& shape, const VariantConfig& config,
                              const TensorMap& tensors) {
  return with_parameters(make_mixer(shape, config), tensors);
}

}  // namespace attnlab::test
