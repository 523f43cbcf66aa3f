// Matrices that share an input, side by side in memory: one product gives what products apart give.
#include "attention/side_by_side.h"

#include <ATen/autocast_mode.h>

#include "attention/deepseek_mla.h"
#include "attention/gqa.h"
#include "attention/mla_deepseek.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "kernels/latent_step.h"
#include "quantize/packed_matrix.h"
#include "support.h"

namespace attnlab::test {
namespace {

using torch::Tensor;

std::vector<VariantConfig> sharing_variants() {
  return {Gqa::Config{}, MlaIdentity::Config{}, MlaOrthogonal::Config{.rank = 3}, MlaDeepseek::Config{},
          MlaDeepseek::Config{.kv_lora_rank = 7, .q_lora_rank = 11, .latent_norm = LatentNorm::calibrated}};
}

bool is_one_product(Mixer& module) {
  const auto inputs = dynamic_cast<SharesInputs&>(module).shared_inputs();
  return std::all_of(inputs.begin(), inputs.end(), [](const auto* input) { return input->is_one_product(); });
}

// y, and the gradients of x and of all parameters that have one.
std::vector<Tensor> trained_once(Mixer& module, Tokens input) {
  input.x_BTD = input.x_BTD.detach().clone().requires_grad_();
  module.zero_grad();
  const auto y = module.forward(input);
  y.sin().sum().backward();
  std::vector<Tensor> out{y.detach(), input.x_BTD.grad()};
  for (const auto& parameter : module.named_parameters())
    if (parameter.value().grad().defined()) out.push_back(parameter.value().grad().clone());
  return out;
}

void check_alike(const Size& size, const std::vector<Tensor>& found, const std::vector<Tensor>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    const auto dtype = expected[i].scalar_type();
    CHECK(close(found[i], expected[i], 2 * tolerance(size, dtype, expected[i], 3)));
  }
}

TEST_CASE("matrices side by side: outputs and gradients are those of products apart") {
  for (auto size : odd_sizes()) {
    size.T = 21;
    for (const auto dtype : {kDouble, torch::kFloat32})
      for (const auto& config : sharing_variants()) {
        INFO(size.name << ": " << label(config));
        const auto module = random_attention(size, config, dtype, 51);
        const auto input = random_input(size, dtype, 52, config);
        CHECK_FALSE(is_one_product(*module));
        const auto expected = trained_once(*module, input);
        lay_side_by_side(*module);
        // A bias at keys and values alone leaves them apart.
        const bool one_bias = size.shape.qkv_bias && label(config).find("q_lora_rank 11") != std::string::npos;
        CHECK(is_one_product(*module) == !one_bias);
        check_alike(size, trained_once(*module, input), expected);
        const torch::NoGradGuard no_grad;
        check_alike(size, {module->forward(input)}, {expected[0]});
        check_alike(size, {decode(*module, input, 8)}, {expected[0]});
      }
  }
}

TEST_CASE("parameters that lie side by side keep their names, shapes and values") {
  const Size size = odd_sizes()[0];
  const auto module = random_attention(size, Gqa::Config{}, torch::kFloat32, 53),
             before = random_attention(size, Gqa::Config{}, torch::kFloat32, 53);
  const auto kept = module->named_parameters()["q_proj.weight"];
  lay_side_by_side(*module);
  const auto now = module->named_parameters(), then = before->named_parameters();
  REQUIRE(now.keys() == then.keys());
  for (const auto& parameter : then) {
    INFO(parameter.key());
    CHECK(torch::equal(now[parameter.key()], parameter.value()));
    CHECK(now[parameter.key()].requires_grad());
    CHECK(now[parameter.key()].is_leaf());
  }
  const auto q = now["q_proj.weight"], k = now["k_proj.weight"];
  CHECK(kept.is_same(q));
  CHECK(k.storage().is_alias_of(q.storage()));
  CHECK(k.storage_offset() == q.numel());
  const auto* place = q.const_data_ptr();
  lay_side_by_side(*module);  // nothing moves a second time
  CHECK(q.const_data_ptr() == place);
}

// A matrix and a bias of normal numbers.
Linear random_linear(int64_t in, int64_t out, bool bias, torch::ScalarType dtype = torch::kFloat32) {
  Linear linear(in, out, bias);
  linear->to(dtype);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : linear->parameters()) parameter.normal_(0, 0.2);
  return linear;
}

TEST_CASE("where matrices are no longer side by side, or train apart, they are multiplied apart") {
  const Size size = odd_sizes()[0];
  const auto module = random_attention(size, Gqa::Config{}, kDouble, 54);
  const auto input = random_input(size, kDouble, 55);
  const auto expected = trained_once(*module, input);
  lay_side_by_side(*module);
  auto parameters = module->named_parameters();
  SECTION("some are frozen: they get no gradient, the others the same") {
    for (const char* frozen : {"q_proj.weight", "q_proj.bias"}) parameters[frozen].requires_grad_(false);
    CHECK_FALSE(is_one_product(*module));
    const auto found = trained_once(*module, input);
    CHECK(found.size() == expected.size() - 2);
    check_alike(size, {found[0], found[1]}, {expected[0], expected[1]});
  }
  SECTION("all are frozen: one product, whose gradient is that of x") {
    for (auto& parameter : parameters) parameter.value().requires_grad_(false);
    CHECK(is_one_product(*module));
    check_alike(size, trained_once(*module, input), {expected[0], expected[1]});
  }
  SECTION("biases alone are frozen") {
    for (const char* name : {"q_proj.bias", "k_proj.bias", "v_proj.bias"})
      parameters[name].requires_grad_(false);
    CHECK(is_one_product(*module));
    CHECK(trained_once(*module, input).size() == expected.size() - 3);
    check_alike(size, {trained_once(*module, input)[1]}, {expected[1]});
  }
  SECTION("another format and back") {
    module->to(torch::kFloat32);
    CHECK_FALSE(is_one_product(*module));
    module->to(kDouble);
    CHECK_FALSE(is_one_product(*module));
    const auto apart = random_attention(size, Gqa::Config{}, kDouble, 54);
    apart->to(torch::kFloat32);
    apart->to(kDouble);
    const auto found = trained_once(*module, input), same = trained_once(*apart, input);
    REQUIRE(found.size() == same.size());
    for (size_t i = 0; i < same.size(); ++i) CHECK(torch::equal(found[i], same[i]));
  }
  SECTION("a value that lies elsewhere is the one that counts") {
    parameters["k_proj.weight"].set_data(2 * parameters["k_proj.weight"].detach());
    CHECK_FALSE(is_one_product(*module));
    CHECK_FALSE(torch::allclose(trained_once(*module, input)[0], expected[0]));
  }
}

TEST_CASE("what is written into one of the matrices is what the product reads") {
  const Size size = odd_sizes()[2];
  const auto module = random_attention(size, Gqa::Config{}, kDouble, 56);
  const auto input = random_input(size, kDouble, 57);
  lay_side_by_side(*module);
  {
    const torch::NoGradGuard no_grad;
    module->named_parameters()["v_proj.weight"].mul_(3);
  }
  const auto apart = random_attention(size, Gqa::Config{}, kDouble, 56);
  apart->named_parameters()["v_proj.weight"].set_data(3 * apart->named_parameters()["v_proj.weight"].detach());
  CHECK(is_one_product(*module));
  check_alike(size, trained_once(*module, input), trained_once(*apart, input));
}

// As PrecisionScope does it, which lies higher.
struct BFloat16Scope {
  BFloat16Scope() {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~BFloat16Scope() {
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
};

// Outputs are rounded to bfloat16 either way; gradients of x are summed before they are rounded, or behind it.
TEST_CASE("under autocast many rows are one product in its format, few are products apart to the bit") {
  torch::manual_seed(60);
  for (const int64_t rows : {5, 300}) {
    auto first = random_linear(24, 8, true), second = random_linear(24, 16, true);
    SharedInput both({first, second});
    const auto x = torch::randn({rows, 24}), dy = torch::randn({rows, 24});
    const auto run = [&] {
      const auto leaf = x.clone().requires_grad_();
      first->zero_grad(), second->zero_grad();
      std::vector<Tensor> y;
      {
        const BFloat16Scope scope;
        y = both.forward(leaf);
      }
      CHECK(y[0].scalar_type() == torch::kBFloat16);
      torch::cat(y, 1).to(torch::kFloat32).backward(dy);
      std::vector<Tensor> out{y[0].detach(), y[1].detach(), leaf.grad()};
      for (const auto& linear : {first, second})
        for (const auto& parameter : linear->parameters()) out.push_back(parameter.grad().clone());
      return out;
    };
    const auto expected = run();
    both.lay_side_by_side();
    const auto found = run();
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(rows, i);
      CHECK(found[i].scalar_type() == expected[i].scalar_type());
      if (rows < 256) CHECK(torch::equal(found[i], expected[i]));
      const double greatest = expected[i].abs().max().item<double>();
      CHECK(close(found[i].to(torch::kFloat32), expected[i].to(torch::kFloat32), 3 * 0x1p-8 * greatest));
    }
  }
}

TEST_CASE("packed matrices and masked inputs are left apart") {
  torch::manual_seed(58);
  Linear first(64, 32), second(64, 32);
  first->hold_packed({.bits = 4, .group_size = 32});
  SharedInput packed({first, second});
  packed.lay_side_by_side();
  CHECK_FALSE(packed.is_one_product());
  auto third = random_linear(64, 32, false), fourth = random_linear(64, 16, false);
  SharedInput dense({third, fourth});
  dense.lay_side_by_side();
  CHECK(dense.is_one_product());
  const auto x = torch::randn({3, 64});
  third->input_mask = torch::zeros({64});
  CHECK_FALSE(dense.is_one_product());
  CHECK(dense.forward(x)[0].abs().max().item<double>() == 0);
}

TEST_CASE("who listens to inputs hears of each matrix") {
  const auto first = random_linear(8, 4, false), second = random_linear(8, 6, false);
  SharedInput both({first, second});
  both.lay_side_by_side();
  std::vector<const LinearImpl*> heard;
  const LinearTap tap([&](const LinearImpl& linear, const Tensor&) { heard.push_back(&linear); });
  both.joined(torch::randn({2, 8}));
  CHECK(heard == std::vector<const LinearImpl*>{first.get(), second.get()});
}

// Outputs that nothing depends on have no gradient.
TEST_CASE("one product of which parts alone are used") {
  torch::manual_seed(59);
  const auto first = random_linear(8, 4, true, kDouble), second = random_linear(8, 6, true, kDouble);
  SharedInput both({first, second});
  both.lay_side_by_side();
  const auto x = torch::randn({2, 3, 8}, kDouble).requires_grad_();
  const auto y = both.forward(x);
  y[1].sum().backward();
  CHECK(torch::equal(first->weight.grad(), torch::zeros({4, 8}, kDouble)));
  CHECK(torch::allclose(second->bias.grad(), torch::full({6}, 6.0, kDouble)));
  CHECK(torch::allclose(x.grad(), second->weight.detach().sum(0).expand({2, 3, 8}), 0, 1e-14));
}

TEST_CASE("gradients of parts are joined where the first stands, if nobody else reads there") {
  torch::manual_seed(53);
  Linear first(4, 6, false), second(4, 3, false);
  SharedInput shared({first, second});
  for (auto linear : {first, second}) {
    linear->to(kDouble);
    const torch::NoGradGuard no_grad;
    linear->weight.normal_();
  }
  shared.lay_side_by_side();
  const auto x = torch::randn({2, 5, 4}, torch::dtype(kDouble).requires_grad(true));
  const auto of_second = torch::randn({2, 5, 3}, kDouble);
  auto wide = torch::randn({2, 5, 9}, kDouble);
  const auto before = wide.clone();
  const auto gradients = [&](const Tensor& of_first) {
    const auto parts = shared.forward(x);
    return torch::autograd::grad({parts[0], parts[1]}, {x, first->weight, second->weight},
                                 {of_first, of_second});
  };
  const auto expected = gradients(before.narrow(2, 0, 6).contiguous());
  const auto check = [&](const std::vector<Tensor>& found) {
    for (size_t i = 0; i < expected.size(); ++i) CHECK(torch::equal(found[i], expected[i]));
  };
  const auto of_first = [&] {
    const at::AutoDispatchBelowADInplaceOrView no_views;  // which would keep `wide`
    return wide.narrow(2, 0, 6);
  }();
  check(gradients(of_first));
  CHECK(torch::equal(wide, before));
  wide.reset();
  check(gradients(of_first));
  CHECK(torch::equal(of_first, before.narrow(2, 0, 6)));
  CHECK(torch::equal(of_first.as_strided({2, 5, 3}, {45, 9, 1}, 6), of_second));
}

TEST_CASE("decoding over a latent in few kernels is decoding in many") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.T = 21;
    for (const auto dtype : {kDouble, torch::kFloat32})
      for (const auto norm : {LatentNorm::neutral, LatentNorm::calibrated})
        for (const int64_t q_rank : {0, 11}) {
          const MlaDeepseek::Config config{.kv_lora_rank = 7, .q_lora_rank = q_rank, .latent_norm = norm};
          if (MlaDeepseek::problem(size.shape, config)) continue;
          INFO(size.name << ": " << label(config));
          const auto module = random_attention(size, config, dtype, 61);
          const auto input = random_input(size, dtype, 62, config);
          const auto expected = module->forward(input);
          for (const bool joined : {false, true}) {
            if (joined) lay_side_by_side(*module);
            const LatentStepsInParts few;
            CHECK(close(decode(*module, input, 8), expected, 2 * tolerance(size, dtype, expected)));
          }
        }
  }
}

}  // namespace
}  // namespace attnlab::test
