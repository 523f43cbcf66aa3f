// Every variant on a GPU against itself in double precision on a CPU: training, and decoding behind a prompt.
#include <algorithm>

#include "attention/deepseek_mla.h"
#include "attention/gqla.h"
#include "attention/mla_deepseek.h"
#include "attention/rwkv6.h"
#include "attention/rwkv7.h"
#include "attention/side_by_side.h"
#include "catch.h"
#include "kernels/latent_query.h"
#include "state/storage_forms.h"
#include "support.h"

namespace attnlab::test {
namespace {

// Moves what a pass reads; documents and padding among it.
Tokens moved(Tokens input, torch::Device device, torch::ScalarType dtype) {
  input.x_BTD = input.x_BTD.detach().to(device, dtype);
  input.parts.device = device;
  if (auto& places = input.parts.document_positions_BT; places.defined()) places = places.to(device);
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

// What single precision costs on a CPU, ten times; sums in other orders where that is nothing.
void check_on_gpu(Mixer& module, const Tokens& input, bool decodes) {
  const auto outcome = [&](const Tokens& tokens) {
    auto found = trained(module, tokens);
    if (decodes) found.push_back(decoded(module, tokens, tokens.x_BTD.size(1) - 10));
    return found;
  };
  const auto expected = outcome(input);
  const auto in_single = [&](torch::Device device, bool joined) {
    module.to(device, torch::kFloat32);
    if (joined) lay_side_by_side(module);
    return outcome(moved(input, device, torch::kFloat32));
  };
  const auto on_cpu = in_single(torch::kCPU, false);
  for (const bool joined : {false, true}) {
    const auto on_gpu = in_single(torch::kCUDA, joined);
    REQUIRE(on_gpu.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i, joined);
      const double rounding = (on_cpu[i] - expected[i]).abs().max().item<double>();
      CHECK(close(on_gpu[i], expected[i], 10 * rounding + 1e-5 * expected[i].abs().max().item<double>()));
    }
  }
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
    check_on_gpu(*random_attention(size, config, kDouble, 21), random_input(size, kDouble, 22, config), true);
  }
}

// Of two rows: the second is two documents.
void pack_documents(Tokens& input) {
  const auto places = torch::arange(input.x_BTD.size(1));
  input.parts.document_positions_BT = torch::stack({places, torch::where(places < 67, places, places - 67)});
}

TEST_CASE("on a GPU RWKV's layers with heads of 64 numbers, which take kernels, are those of a CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  const Size size{"heads of 64", {128, 4, 2, 64, true, false}, 2, 150};
  for (const VariantConfig& config : {VariantConfig(Rwkv6::Config{}), VariantConfig(Rwkv7::Config{})})
    for (const bool documents : {false, true}) {
      INFO(label(config) << ", documents " << documents);
      Tokens input = random_input(size, kDouble, 26, config);
      if (documents) pack_documents(input);
      check_on_gpu(*random_attention(size, config, kDouble, 25), input, !documents);
    }
}

TEST_CASE("on a GPU MLA's layer with heads as wide as packs, which takes kernels, is that of a CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  Size size{"heads of 32", {96, 6, 2, 32, true, false}, 2, 150};
  std::vector<VariantConfig> configs{MlaDeepseek::Config{.kv_lora_rank = 24},
                                     MlaDeepseek::Config{.kv_lora_rank = 23, .q_lora_rank = 40}};
  for (const auto& config : configs)
    for (const bool documents : {false, true}) {
      INFO(label(config) << ", documents " << documents);
      Tokens input = random_input(size, kDouble, 28, config);
      if (documents) pack_documents(input);
      check_on_gpu(*random_attention(size, config, kDouble, 27), input, !documents);
    }
  size.shape = {96, 6, 6, 16, false, false};
  size.shape.mla = MlaShape{.kv_lora_rank = 40,
                            .qk_nope_head_dim = 32,
                            .qk_rope_head_dim = 16,
                            .v_head_dim = 24,
                            .interleaved = true};
  const VariantConfig config = DeepseekMla::Config{};
  check_on_gpu(*random_attention(size, config, kDouble, 29), random_input(size, kDouble, 30, config), true);
}

// Where gradients are asked for, no kernel reads codes: then they are decoded first.
TEST_CASE("on a GPU a latent that is read as codes gives what its numbers give, rows of any length") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  constexpr int64_t rank = 256, rope = 16, prompt = 80;
  Size size{"mla", {96, 6, 6, rope, false, false}, 3, 140};
  size.shape.mla =
      MlaShape{.kv_lora_rank = rank, .qk_nope_head_dim = 32, .qk_rope_head_dim = rope, .v_head_dim = 32};
  const auto module = random_attention(size, DeepseekMla::Config{.absorb = true}, torch::kFloat32, 23);
  module->to(torch::kCUDA, torch::kBFloat16);
  Tokens input = moved(random_input(size, torch::kFloat32, 24), torch::kCUDA, torch::kBFloat16);
  input.parts.padding_B1 = torch::tensor(std::vector<int64_t>{0, 71, 5}).unsqueeze(1).cuda();
  for (const auto name : {CacheStorageName::fp8, CacheStorageName::int8}) {
    INFO(name_of(name));
    const CachePlan plan{.storage = storage_form({.name = name}), .as_computed = false};
    const auto steps = [&](bool gradients) {
      const torch::AutoGradMode mode(gradients);
      LayerState state(module->state_layout(), size.B, size.T, input.x_BTD.options(), 0, plan, 6);
      module->forward(input.pass(0, prompt, &state));
      std::vector<torch::Tensor> outputs;
      for (int64_t t = prompt; t < size.T; ++t) outputs.push_back(module->forward(input.pass(t, 1, &state)));
      const auto q_BNW = torch::zeros({size.B, 6, rank + rope}, input.x_BTD.options());
      REQUIRE(state.coded(0));
      CHECK(fits_latent_query(q_BNW, *state.coded(0)));
      return torch::cat(outputs, 1).detach().to(torch::kCPU, torch::kFloat32);
    };
    const auto expected = steps(true);
    // Weights, the weighted sum, the up-projection and the output are each rounded to bfloat16 (2^-9 of
    // themselves) on either path, and matrices of normal weights keep errors as large as they find them.
    CHECK(close(steps(false), expected, 8 * 0x1p-9 * 2 * expected.abs().max().item<double>()));
  }
}

}  // namespace
}  // namespace attnlab::test
