// GLA, GQLA and TPA: where they are GQA, what they lose otherwise, and what is refused.
#include "attention/gqa.h"
#include "attention/grouped_latent.h"
#include "attention/gta_start.h"
#include "attention/tpa_attention.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// All tokens stand at position 0: rotary changes nothing.
Tokens unturned(const Size& size, const VariantConfig& config) {
  Tokens input = random_input(size, kDouble, 22, config);
  input.tables().cos_BTH = torch::ones_like(input.tables().cos_BTH);
  input.tables().sin_BTH = torch::zeros_like(input.tables().sin_BTH);
  return input;
}

TEST_CASE("whole latents are GQA where nothing turns, narrower ones are not") {
  const torch::NoGradGuard no_grad;
  for (const auto& size : odd_sizes()) {
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
    const auto expected = gqa->forward(unturned(size, Gqa::Config{}));
    const double bound = 8 * tolerance(size, kDouble, expected);
    const auto gives = [&](const VariantConfig& config) {
      INFO(size.name << ": " << label(config));
      return close(converted(*gqa, config)->forward(unturned(size, config)), expected, bound);
    };
    CHECK(gives(Gla::Config{}));
    CHECK(gives(Gla::Config{.latent_heads = size.shape.n_kv_heads}));
    CHECK(gives(Gqla::Config{}));
    CHECK(gives(Gqla::Config{.decode = GqlaDecode::groups}));
    CHECK_FALSE(gives(Gla::Config{.latent_width = 3}));
    CHECK_FALSE(gives(Gqla::Config{.kv_lora_rank = 3}));
  }
}

TEST_CASE("as many products as KV heads are GQA at any position, contextual at its start or not") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    for (const int64_t rotary_dim : {int64_t{0}, size.shape.head_dim / 2 / 2 * 2}) {
      size.shape.rotary_dim = rotary_dim;
      const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
      auto input = random_input(size, kDouble, 22);
      if (rotary_dim > 0)
        input.tables() = rotary_tables(torch::arange(size.T).unsqueeze(0), rotary_dim, 10000.0, kDouble);
      const auto expected = gqa->forward(input);
      for (const bool contextual : {false, true}) {
        INFO(size.name << ", turning " << rotary_dim << ", contextual " << contextual);
        const Tpa::Config config{.contextual = contextual};
        CHECK(close(converted(*gqa, config)->forward(input), expected, 8 * tolerance(size, kDouble, expected)));
      }
      if (size.shape.n_kv_heads == 1) continue;
      const Tpa::Config narrow{.rank = size.shape.n_kv_heads - 1};
      CHECK_FALSE(close(converted(*gqa, narrow)->forward(input), expected, 1e-3));
    }
  }
}

TEST_CASE("what head factors lose of the keys' energy is what they say") {
  const Size size = odd_sizes()[2];
  torch::manual_seed(7);
  const int64_t G = size.shape.n_kv_heads, H = size.shape.head_dim, D = size.shape.d_model;
  const auto weight = torch::randn({G * H, D}, kDouble);
  for (int64_t rank = 1; rank <= G; ++rank) {
    const auto factors = head_factors(size.shape, weight, {}, rank, white_moment);
    const auto rebuilt =
        torch::einsum("nr,rhx->nhx", {factors.heads_NR, factors.rows_RHx}) / static_cast<double>(rank);
    const auto error = (rebuilt.flatten(0, 1) - weight).square().sum(), all = weight.square().sum();
    CHECK(factors.lost == Approx((error / all).item<double>()).margin(1e-12));
  }
}

TEST_CASE("rotary that all heads share already is gathered whole, also where a part of a head turns") {
  const torch::NoGradGuard no_grad;
  const AttentionShape shape{.d_model = 24, .n_heads = 4, .n_kv_heads = 2, .head_dim = 8, .rotary_dim = 4};
  const Size size{"partial", shape, 2, 17};
  const auto base = random_attention(size, Gqa::Config{}, kDouble, 21);
  auto k = base->named_parameters()["k_proj.weight"].view({2, 8, 24});
  const auto v = base->named_parameters()["v_proj.weight"].view({2, 8, 24});
  k[1].narrow(0, 0, 4).copy_(k[0].narrow(0, 0, 4));
  torch::manual_seed(4);
  // The rest of a key follows from its value.
  for (int64_t g = 0; g < 2; ++g)
    k[g].narrow(0, 4, 4).copy_(torch::matmul(torch::randn({4, 8}, kDouble), v[g]));
  const auto apart = turning_apart(shape, gqa_weights(*base), {}, white_moment);
  CHECK(apart.rope_energy == Approx(1).epsilon(1e-12));
  auto input = random_input(size, kDouble, 22);
  input.tables() = rotary_tables(torch::arange(17).unsqueeze(0), 4, 10000.0, kDouble);
  const auto expected = base->forward(input);
  for (const VariantConfig& config : {VariantConfig(Gta::Config{.qk_rope_head_dim = 4}),
                                      VariantConfig(Gla::Config{}), VariantConfig(Gqla::Config{})}) {
    INFO(label(config));
    CHECK(close(converted(*base, config)->forward(input), expected, 8 * tolerance(size, kDouble, expected)));
  }
}

TEST_CASE("GLA, GQLA and TPA: ranges are told by their keys, and what they keep is counted") {
  const AttentionShape shape{.d_model = 8, .n_heads = 8, .n_kv_heads = 4, .head_dim = 12};
  const auto refusal = [](const AttentionShape& of, const VariantConfig& config) {
    const auto problem = variant_problem(of, config);
    return problem ? describe(*problem) : "accepted";
  };
  CHECK_THAT(refusal(shape, Gla::Config{.latent_heads = 3}), ContainsSubstring("latent_heads: found 3"));
  CHECK_THAT(refusal(shape, Gla::Config{.latent_width = 49}), ContainsSubstring("at most 48"));
  CHECK_THAT(refusal(shape, Gla::Config{.collapse = 4}), ContainsSubstring("collapse: found 4"));
  CHECK_THAT(refusal(shape, Gla::Config{.freqfold = 3, .collapse = 2}), ContainsSubstring("freqfold: found 3"));
  CHECK_THAT(refusal(shape, Gqla::Config{.kv_lora_rank = 97}), ContainsSubstring("at most 96"));
  CHECK_THAT(refusal(shape, Tpa::Config{.rank = 5}), ContainsSubstring("at most 4"));
  AttentionShape normed = shape;
  normed.qk_norm = true;
  CHECK_THAT(refusal(normed, Gla::Config{}), ContainsSubstring("does not commute"));
  CHECK_THAT(refusal(normed, Tpa::Config{}), ContainsSubstring("does not commute"));
  const auto cached = [&](const VariantConfig& config) {
    return numbers_per_token(make_mixer(shape, config)->state_layout());
  };
  CHECK(cached(Gla::Config{.latent_width = 24, .collapse = 2}) == 2 * 24 + 6);
  CHECK(cached(Gqla::Config{.kv_lora_rank = 48, .collapse = 2}) == 48 + 6);
  CHECK(cached(Gqla::Config{.kv_lora_rank = 48, .decode = GqlaDecode::groups}) == 2 * 4 * 12 + 12);
  CHECK(cached(Tpa::Config{.rank = 2}) == 2 * 2 * 12);
  CHECK(cached(Tpa::Config{.rank = 2, .contextual = true}) == 2 * 2 * (8 + 12));
}

TEST_CASE("GQLA keeps what its rule says where the choice is left to it, and tells sizes of the latent") {
  const AttentionShape shape{.d_model = 8, .n_heads = 8, .n_kv_heads = 4, .head_dim = 12};
  const auto chosen = make_mixer(shape, Gqla::Config{.kv_lora_rank = 48, .decode = GqlaDecode::automatic});
  const auto groups = make_mixer(shape, Gqla::Config{.kv_lora_rank = 48, .decode = GqlaDecode::groups});
  const auto latent = make_mixer(shape, Gqla::Config{.kv_lora_rank = 48});
  CHECK(numbers_per_token(chosen->state_layout()) == numbers_per_token(latent->state_layout()));
  CHECK(numbers_per_token(chosen->state_layout_on(torch::kCPU)) == numbers_per_token(groups->state_layout()));
  CHECK(numbers_per_token(chosen->state_layout_on(torch::kCUDA)) == numbers_per_token(latent->state_layout()));
  // A latent of all numbers is no smaller than what it stands for.
  const auto whole = make_mixer(shape, Gqla::Config{.decode = GqlaDecode::automatic});
  CHECK(numbers_per_token(whole->state_layout_on(torch::kCUDA)) == numbers_per_token(groups->state_layout()));
}

}  // namespace
}  // namespace attnlab::test
