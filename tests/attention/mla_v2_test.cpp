// TransMLA v2: with `repeat` and untouched up-projections, GQA; with `extend`, attention with wider heads.
#include "attention/mla_v2.h"

#include <algorithm>
#include <cmath>

#include "attention/gqa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using test::kDouble;

// Every number of groups, with up-projections inside and apart.
std::vector<MlaV2::Config> forms(const AttentionShape& shape, GroupRope rope) {
  std::vector<MlaV2::Config> configs;
  for (int64_t groups = 1; groups <= shape.n_kv_heads; ++groups)
    for (const bool absorb : {true, false})
      if (shape.n_kv_heads % groups == 0) configs.push_back({.groups = groups, .rope = rope, .absorb = absorb});
  return configs;
}

int64_t width(const AttentionShape& shape, const MlaV2::Config& config) {
  return shape.n_kv_heads / config.groups * shape.head_dim;
}

// The input with tables for `turning` numbers.
Tokens with_tables(Tokens input, int64_t turning) {
  const auto positions = torch::arange(input.x_BTD.size(1)).unsqueeze(0);
  input.tables() = rotary_tables(positions, turning, 10000.0, input.x_BTD.scalar_type());
  return input;
}

using test::loaded;

void check_repeat(const Size& size, torch::ScalarType dtype, int64_t turning) {
  const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
  auto weights = gqa_weights(*gqa);
  if (size.shape.qk_norm) {
    weights.q_norm = gqa->named_parameters()["q_norm.weight"].detach();
    weights.k_norm = gqa->named_parameters()["k_norm.weight"].detach();
  }
  const auto input = with_tables(random_input(size, dtype, 22), turning);
  const auto expected = gqa->forward(input);
  // Twice the chain: the two sides round independently. Zeros of the wider sums round nothing.
  const double bound = 2 * tolerance(size, dtype, expected);
  for (const auto& config : forms(size.shape, GroupRope::repeat)) {
    if (variant_problem(size.shape, config)) continue;
    INFO(size.name << ": " << label(config));
    const auto module = loaded(size.shape, config, convert_from_gqa(size.shape, config, weights));
    CHECK(close(module->forward(input), expected, bound));
    for (const std::string name : {"k_proj.weight", "v_proj.weight", "q_proj.weight"}) {
      INFO(name);
      auto parameter = module->named_parameters()[name];
      const auto before = parameter.detach().clone();
      const torch::NoGradGuard no_grad;
      // The norms undo a factor.
      parameter.add_(torch::rand_like(parameter), 1e-2);
      CHECK_FALSE(close(module->forward(input), expected, bound));
      parameter.copy_(before);
    }
  }
}

TEST_CASE("mla_v2 with repeated rotary computes what the GQA layer computes, for any groups, absorbed or not") {
  for (const auto& size : odd_sizes())
    for (const auto dtype : {kDouble, torch::kFloat32}) check_repeat(size, dtype, size.shape.head_dim);
}

TEST_CASE("so it does with partial rotary, with a scale and a cap of scores, and with norms of heads") {
  for (auto size : odd_sizes()) {
    const auto plain = size;
    size.shape.rotary_dim = 4;
    check_repeat(size, kDouble, 4);
    size = plain;
    size.shape.score = {.scale = 0.7, .softcap = 1.5};
    check_repeat(size, kDouble, size.shape.head_dim);
    size = plain;
    size.shape.qk_norm = true;
    check_repeat(size, kDouble, size.shape.head_dim);
  }
}

// GQA with W-wide heads and the absorbed weights is the same sum with the same rotary.
TEST_CASE("mla_v2 with extended rotary is attention with wider heads at the base's scale") {
  for (const auto& size : odd_sizes()) {
    const auto weights = gqa_weights(*random_attention(size, Gqa::Config{}, kDouble, 21));
    for (const auto& config : forms(size.shape, GroupRope::extend)) {
      INFO(size.name << ": " << label(config));
      const int64_t W = width(size.shape, config);
      CHECK(variant_turning_dim(size.shape, config, size.shape.head_dim) == W);
      AttentionShape wide = size.shape;
      wide.n_kv_heads = config.groups;
      wide.head_dim = W;
      wide.score.scale = 1 / std::sqrt(static_cast<double>(size.shape.head_dim));
      MlaV2::Config absorbed = config;
      absorbed.absorb = true;
      const auto reference = loaded(wide, Gqa::Config{}, convert_from_gqa(size.shape, absorbed, weights));
      const auto input = with_tables(random_input(size, kDouble, 22), W);
      const auto expected = reference->forward(input);
      const auto module = loaded(size.shape, config, convert_from_gqa(size.shape, config, weights));
      const double bound = 2 * tolerance(size, kDouble, expected);
      CHECK(close(module->forward(input), expected, bound));
      // One group per KV head has nothing to extend over; otherwise it is another function than the base's.
      MlaV2::Config repeat = config;
      repeat.rope = GroupRope::repeat;
      const auto base = loaded(size.shape, repeat, convert_from_gqa(size.shape, repeat, weights));
      const auto of_base = base->forward(random_input(size, kDouble, 22));
      CHECK(close(expected, of_base, bound) == (config.groups == size.shape.n_kv_heads));
    }
  }
}

// U_nᵀ W_Q,n and W_O,n V_n of the module without absorb, as the parameters of the one with it.
TensorMap absorbed_weights(const Mixer& module) {
  const AttentionShape& shape = module.shape();
  TensorMap out;
  for (const auto& item : module.named_parameters()) out[item.key()] = item.value().detach();
  const auto heads = [&](const torch::Tensor& x) { return x.unflatten(0, {shape.n_heads, shape.head_dim}); };
  const auto k_up_NWH = heads(out.at("k_up_proj.weight")).transpose(1, 2);
  const auto v_up_NWH = heads(out.at("v_up_proj.weight")).transpose(1, 2);
  out["q_proj.weight"] = torch::bmm(k_up_NWH, heads(out.at("q_proj.weight"))).flatten(0, 1);
  out["o_proj.weight"] = torch::bmm(v_up_NWH, heads(out.at("o_proj.weight").t())).flatten(0, 1).t();
  if (shape.qkv_bias)
    out["q_proj.bias"] = torch::bmm(k_up_NWH, heads(out.at("q_proj.bias").unsqueeze(1))).flatten();
  out.erase("k_up_proj.weight");
  out.erase("v_up_proj.weight");
  return out;
}

TEST_CASE("absorb is a layout of parameters: with any up-projections both give the same") {
  for (const auto& size : odd_sizes())
    for (const auto rope : {GroupRope::repeat, GroupRope::extend})
      for (auto config : forms(size.shape, rope)) {
        if (config.absorb) continue;
        INFO(size.name << ": " << label(config));
        const int64_t W = width(size.shape, config);
        const auto apart = random_attention(size, config, kDouble, 31);
        config.absorb = true;
        const auto inside = loaded(size.shape, config, absorbed_weights(*apart));
        const auto input =
            with_tables(random_input(size, kDouble, 32), rope == GroupRope::extend ? W : size.shape.head_dim);
        const auto expected = apart->forward(input);
        // Sums over W and N·W where the chain has H and N·H: G / groups times as many terms at most.
        const double wider = static_cast<double>(size.shape.n_kv_heads / config.groups);
        CHECK(close(inside->forward(input), expected, 2 * wider * tolerance(size, kDouble, expected)));
      }
}

TEST_CASE("gradients of shared parameters are GQA's, and reach the up-projections outside a head's own block") {
  for (const auto& size : odd_sizes()) {
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
    const auto input = random_input(size, kDouble, 22);
    gqa->forward(input).square().sum().backward();
    for (const auto& config : forms(size.shape, GroupRope::repeat)) {
      if (config.absorb) continue;
      INFO(size.name << ": " << label(config));
      const auto module = converted(*gqa, config);
      module->forward(input).square().sum().backward();
      const auto parameters = module->named_parameters();
      for (const std::string name : {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"}) {
        INFO(name);
        const auto expected = gqa->named_parameters()[name].grad();
        CHECK(close(parameters[name].grad(), expected, 2 * tolerance(size, kDouble, expected, 3)));
      }
      for (const std::string name : {"k_up_proj.weight", "v_up_proj.weight"})
        CHECK(parameters[name].grad().abs().min().item<double>() > 0);
    }
  }
}

TEST_CASE("mla_v2 decodes step by step what the full pass gives, in each form") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.T = 21;
    for (const auto rope : {GroupRope::repeat, GroupRope::extend})
      for (const auto& config : forms(size.shape, rope)) {
        INFO(size.name << ": " << label(config));
        const auto module = random_attention(size, config, kDouble, 41);
        const auto all = with_tables(random_input(size, kDouble, 42),
                                     variant_turning_dim(size.shape, config, size.shape.head_dim));
        const auto expected = module->forward(all);
        LayerState state(module->state_layout(), size.B, size.T, all.x_BTD.options());
        const auto forward = [&](int64_t from, int64_t T) {
          return module->forward(all.pass(from, T, &state));
        };
        std::vector<torch::Tensor> steps{forward(0, 8)};
        for (int64_t t = 8; t < size.T; ++t) steps.push_back(forward(t, 1));
        CHECK(close(torch::cat(steps, 1), expected, 4 * tolerance(size, kDouble, expected)));
      }
  }
}

// Checkpoints name their tensors by these.
TEST_CASE("mla_v2's parameters, cache and FLOPs") {
  const AttentionShape shape{8, 4, 2, 6, true, true};
  const auto names = [&](const MlaV2::Config& config) {
    std::vector<std::string> out;
    for (const auto& item : make_mixer(shape, config)->named_parameters()) out.push_back(item.key());
    return out;
  };
  using Names = std::vector<std::string>;
  CHECK(names({}) == Names{"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias", "v_proj.weight",
                           "v_proj.bias", "o_proj.weight", "o_proj.bias"});
  CHECK(names({.absorb = false}) == Names{"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias",
                                          "v_proj.weight", "v_proj.bias", "k_up_proj.weight",
                                          "v_up_proj.weight", "o_proj.weight", "o_proj.bias"});
  for (const auto& config : forms(shape, GroupRope::repeat)) {
    const auto layout = make_mixer(shape, config)->state_layout();
    REQUIRE(layout.size() == 2);
    CHECK((layout[0].name == "k_latent" && layout[0].width == 12));
    CHECK((layout[1].name == "v_latent" && layout[1].width == 12));
  }
  // One group, W = 12. Inside: q and o 8 × 48, k and v 8 × 12: 960 weights; a pair 2 · 4 · 12. 3 keys on
  // average.
  CHECK(make_mixer(shape, MlaV2::Config{})->forward_flops_per_token(5) == 2 * 960 + 2 * 96 * 3);
  // Apart: q and o 8 × 24, and two up-projections 24 × 12.
  CHECK(make_mixer(shape, MlaV2::Config{.absorb = false})->forward_flops_per_token(5) ==
        2 * (576 + 576) + 2 * 96 * 3);
  CHECK(variant_turning_dim(shape, MlaV2::Config{}, 4) == 4);
  CHECK(variant_turning_dim(shape, Gqa::Config{}, 4) == 4);
}

std::string problem_key(const AttentionShape& shape, const MlaV2::Config& config) {
  const auto problem = variant_problem(shape, config);
  return problem ? problem->key : "";
}

TEST_CASE("groups that do not divide the KV heads are refused") {
  const AttentionShape shape{8, 12, 6, 4, true, false};
  for (const int64_t groups : {1, 2, 3, 6}) CHECK(problem_key(shape, {.groups = groups}).empty());
  for (const int64_t groups : {-1, 0, 4, 5, 12}) CHECK(problem_key(shape, {.groups = groups}) == "groups");
  CHECK(variant_problem(shape, MlaV2::Config{.groups = 4})->expected == "a divisor of n_kv_heads = 6");
}

TEST_CASE("extended rotary is refused where the base's says nothing about wider heads") {
  AttentionShape shape{8, 4, 2, 6, true, false};
  CHECK(problem_key(shape, {.rope = GroupRope::extend}).empty());
  shape.rotary_dim = 6;  // all of it
  CHECK(problem_key(shape, {.rope = GroupRope::extend}).empty());
  shape.rotary_dim = 4;
  CHECK(problem_key(shape, {.rope = GroupRope::extend}) == "rope");
  CHECK(problem_key(shape, {}).empty());
  shape.rotary_dim = 0;
  shape.scaled_by_width = true;
  CHECK(problem_key(shape, {.rope = GroupRope::extend}) == "rope");
  CHECK(problem_key(shape, {}).empty());
  shape.scaled_by_width = false;
  shape.scaled_by_frequency = true;
  CHECK(problem_key(shape, {.rope = GroupRope::extend}) == "rope");
  CHECK(problem_key(shape, {}).empty());
}

TEST_CASE("up-projections do not go inside q_proj across a norm of query heads") {
  AttentionShape shape{8, 4, 2, 6, true, false};
  shape.qk_norm = true;
  CHECK(problem_key(shape, {}) == "absorb");
  CHECK(problem_key(shape, {.absorb = false}).empty());
}

TEST_CASE("mla_v2 is not made from a base whose attention is MLA") {
  AttentionShape shape{8, 4, 2, 6, true, false};
  shape.mla = MlaShape{.kv_lora_rank = 8, .qk_nope_head_dim = 6, .qk_rope_head_dim = 4, .v_head_dim = 6};
  CHECK(problem_key(shape, {.absorb = false}) == "variant");
}

}  // namespace
}  // namespace attnlab::test
