// Half precision: as a dtype of the whole layer, and through autocast.
#include <ATen/autocast_mode.h>

#include "attention/product_type.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// Matrix products are summed in float32, so what counts is the rounding of the weights, the input and the eight
// tensors stored on the way (q, k, v, their rotated forms, context, output), each of 2⁻⁸.
double half_bound(const torch::Tensor& expected) { return 10.0 / 256 * expected.abs().max().item<double>(); }

// A mixer with a state may divide heads by their own size, which makes roundings as large as the head was
// small. What rounding weights and input alone does to the function is two of the ten roundings; five times
// that is theirs together.
double half_bound_of_state(Mixer& module, const Tokens& input, const torch::Tensor& expected) {
  for (const auto& slot : module.state_layout())
    if (slot.extent != Extent::fixed) return half_bound(expected);
  Tokens rounded = input;
  rounded.x_BTD = input.x_BTD.to(torch::kBFloat16).to(torch::kFloat32);
  module.to(torch::kBFloat16);
  module.to(torch::kFloat32);
  const double apart = (module.forward(rounded) - expected).abs().max().item<double>();
  return std::max(half_bound(expected), 5 * apart);
}

TEST_CASE("bfloat16 stays bfloat16 with float32 tables, and stays close to single precision") {
  for (const auto& size : odd_sizes())
    for (const auto& config : all_variants()) {
      INFO(size.name << ": " << label(config));
      const auto module = random_attention(size, config, torch::kFloat32, 21);
      Tokens input = random_input(size, torch::kFloat32, 22, config);
      const auto expected = module->forward(input);
      const double bound = half_bound_of_state(*module, input, expected);
      input.x_BTD = input.x_BTD.to(torch::kBFloat16);
      module->to(torch::kBFloat16);
      const auto y = module->forward(input);
      CHECK(y.scalar_type() == torch::kBFloat16);
      CHECK(close(y, expected, bound));
    }
}

struct Autocast {
  Autocast() {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~Autocast() {
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
};

TEST_CASE("autocast computes in bfloat16 with float32 weights and cache, gradients included") {
  const Size size = odd_sizes()[0];
  for (const auto& config : all_variants()) {
    INFO(label(config));
    const auto module = random_attention(size, config, torch::kFloat32, 21);
    const Tokens input = random_input(size, torch::kFloat32, 22, config);
    const auto expected = module->forward(input);
    const Autocast on;
    const auto y = module->forward(input);
    CHECK(y.scalar_type() == torch::kBFloat16);
    CHECK(close(y, expected, half_bound(expected)));
    y.sum().backward();
    for (const auto& item : module->named_parameters()) {
      CAPTURE(item.key());
      if (!item.value().requires_grad()) continue;
      CHECK(item.value().grad().isfinite().all().item<bool>());
    }

    const torch::NoGradGuard no_grad;
    LayerState state(module->state_layout(), size.B, size.T, torch::kFloat32);
    module->forward(input.pass(0, size.T - 1, &state));
    const auto last = module->forward(input.pass(size.T - 1, 1, &state));
    CHECK(close(last, expected.narrow(1, size.T - 1, 1), half_bound(expected)));
  }
}

TEST_CASE("the type of products is what torch's own have, with autocast and without") {
  for (const bool autocast : {false, true}) {
    at::autocast::set_autocast_enabled(torch::kCPU, autocast);
    for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16}) {
      const auto x = torch::ones({2, 2}, dtype);
      const auto found = torch::linear(x, x).scalar_type();
      CHECK(product_type(x) == found);
      CHECK(product_type(torch::kCPU, dtype) == found);
    }
  }
  at::autocast::set_autocast_enabled(torch::kCPU, false);
  at::autocast::clear_cache();
}

}  // namespace
}  // namespace attnlab::test
