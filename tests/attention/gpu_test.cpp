// Every variant on a GPU against itself in double precision on a CPU: training, and decoding behind a prompt.
#include <algorithm>

#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// Moves what a pass reads; documents and padding among it.
Tokens moved(Tokens input, torch::Device device, torch::ScalarType dtype) {
  input.x_BTD = input.x_BTD.detach().to(device, dtype);
  input.parts.device = device;
  for (auto& [cos, sin] : input.parts.rotary) cos = cos.to(device, dtype), sin = sin.to(device, dtype);
  return input;
}

// y, and the gradients of x and all parameters, on the CPU.
std::vector<torch::Tensor> trained(Mixer& module, Tokens input) {
  input.x_BTD.requires_grad_();
  module.zero_grad();
  const auto y = module.forward(input);
  y.sin().sum().backward();
  std::vector<torch::Tensor> out{y, input.x_BTD.grad()};
  for (const auto& parameter : module.named_parameters())
    if (parameter.value().grad().defined()) out.push_back(parameter.value().grad());
  for (auto& each : out) each = each.detach().to(torch::kCPU, torch::kFloat64).clone();
  return out;
}

torch::Tensor decoded(Mixer& module, const Tokens& all, int64_t prompt) {
  const torch::NoGradGuard no_grad;
  const int64_t B = all.x_BTD.size(0), T = all.x_BTD.size(1);
  LayerState state(module.state_layout_on(all.x_BTD.device()), B, T, all.x_BTD.options());
  std::vector<torch::Tensor> outputs{module.forward(all.pass(0, prompt, &state))};
  for (int64_t t = prompt; t < T; ++t) outputs.push_back(module.forward(all.pass(t, 1, &state)));
  return torch::cat(outputs, 1).to(torch::kCPU, torch::kFloat64);
}

TEST_CASE("on a GPU every variant trains and decodes as in double precision on a CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  Size size = odd_sizes()[0];
  size.T = 150;  // three chunks
  auto configs = all_variants();
  configs.push_back(Gqla::Config{.decode = GqlaDecode::automatic});
  configs.push_back(Gqla::Config{.decode = GqlaDecode::groups});
  for (const auto& config : configs) {
    INFO(label(config));
    const auto module = random_attention(size, config, kDouble, 21);
    const Tokens input = random_input(size, kDouble, 22, config);
    auto expected = trained(*module, input);
    expected.push_back(decoded(*module, input, 140));
    // What single precision costs on a CPU, ten times; sums in other orders where that is nothing.
    const auto in_single = [&](torch::Device device) {
      module->to(device, torch::kFloat32);
      const Tokens tokens = moved(input, device, torch::kFloat32);
      auto found = trained(*module, tokens);
      found.push_back(decoded(*module, tokens, 140));
      return found;
    };
    const auto on_cpu = in_single(torch::kCPU), on_gpu = in_single(torch::kCUDA);
    REQUIRE(on_gpu.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i);
      const double rounding = (on_cpu[i] - expected[i]).abs().max().item<double>();
      CHECK(close(on_gpu[i], expected[i], 10 * rounding + 1e-5 * expected[i].abs().max().item<double>()));
    }
  }
}

}  // namespace
}  // namespace attnlab::test
