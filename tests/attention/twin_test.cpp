// Outputs and gradients of GQA and of the TransMLA v1 forms against loops in double precision
// (tests/reference).
#include "catch.h"
#include "reference/attention_twin.h"
#include "support.h"

namespace attnlab::test {
namespace {

using reference::Values;

Values to_values(const torch::Tensor& tensor) {
  const auto x = tensor.detach().to(torch::kFloat64).contiguous();
  return {x.data_ptr<double>(), x.data_ptr<double>() + x.numel()};
}

torch::Tensor to_tensor(const Values& values, const torch::Tensor& like) {
  return torch::tensor(values, torch::kFloat64).view(like.sizes());
}

reference::AttentionTwin twin_of(const Size& size, const Mixer& module, const Tokens& input) {
  const auto& shape = size.shape;
  const auto expand = [&](const torch::Tensor& table) {
    return to_values(table.expand({size.B, size.T, shape.head_dim}));
  };
  reference::AttentionTwin twin{.B = size.B,
                                .T = size.T,
                                .D = shape.d_model,
                                .N = shape.n_heads,
                                .G = shape.n_kv_heads,
                                .H = shape.head_dim,
                                .R = module.state_layout()[0].width,
                                .parameters = {},
                                .x_BTD = to_values(input.x_BTD),
                                .cos_BTH = expand(input.tables().cos_BTH),
                                .sin_BTH = expand(input.tables().sin_BTH),
                                .mask_BTT = std::vector<bool>(static_cast<size_t>(size.B * size.T * size.T))};
  for (const auto& item : module.named_parameters()) twin.parameters[item.key()] = to_values(item.value());
  for (int64_t b = 0; b < size.B; ++b)
    for (int64_t t = 0; t < size.T; ++t)
      for (int64_t s = 0; s < size.T; ++s)
        twin.mask_BTT[static_cast<size_t>((b * size.T + t) * size.T + s)] =
            input.parts.mask_B1TS.defined() ? input.parts.mask_B1TS[b][0][t][s].item<bool>() : s <= t;
  return twin;
}

void check_against_twin(const Size& size, const VariantConfig& config, torch::ScalarType dtype,
                        const torch::Tensor& mask) {
  const auto module = random_attention(size, config, dtype, 11);
  Tokens input = random_input(size, dtype, 12);
  input.x_BTD.requires_grad_();
  input.parts.mask_B1TS = mask;
  const auto y = module->forward(input);
  const auto upstream = torch::randn_like(y);
  (y * upstream).sum().backward();

  const auto expected = reference::run(twin_of(size, *module, input), to_values(upstream));
  const auto expected_y = to_tensor(expected.y_BTD, y);
  CHECK(close(y, expected_y, tolerance(size, dtype, expected_y)));
  const auto check_gradient = [&](const std::string& name, const torch::Tensor& tensor) {
    CAPTURE(name);
    const auto gradient = to_tensor(expected.gradients.at(name), tensor);
    // A key bias turns all scores of a query alike, up to rotary: its gradient is the small rest of large
    // terms, whose size is that of the gradient by the keys' weights.
    const auto scale = name == "k_proj.bias" ? to_tensor(expected.gradients.at("k_proj.weight"),
                                                         module->named_parameters()["k_proj.weight"])
                                             : gradient;
    CHECK(close(tensor.grad(), gradient, tolerance(size, dtype, scale, 3)));
  };
  check_gradient("x", input.x_BTD);
  for (const auto& item : module->named_parameters()) check_gradient(item.key(), item.value());
}

TEST_CASE("every variant and its gradients equal the naive twin in double precision") {
  for (const auto& size : odd_sizes())
    for (const auto& config : twin_variants()) {
      INFO(size.name << ": " << label(config));
      check_against_twin(size, config, torch::kFloat64, {});
    }
}

TEST_CASE("every variant and its gradients equal the naive twin in single precision") {
  for (const auto& size : odd_sizes())
    for (const auto& config : twin_variants()) {
      INFO(size.name << ": " << label(config));
      check_against_twin(size, config, torch::kFloat32, {});
    }
}

TEST_CASE("a mask decides what a query may look at") {
  Size size = odd_sizes()[1];
  size.T = 21;
  torch::manual_seed(5);
  auto mask = torch::rand({size.B, 1, size.T, size.T}) < 0.5;
  mask.diagonal(0, 2, 3).fill_(true);  // every query sees something
  for (const auto& config : twin_variants()) {
    INFO(label(config));
    check_against_twin(size, config, torch::kFloat64, mask);
  }
}

}  // namespace
}  // namespace attnlab::test
