// The table of variants, and what checkpoints and reports depend on.
#include <algorithm>
#include <set>

#include "aborts.h"
#include "attention/cache_fit.h"
#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/variant_config.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using Names = std::vector<std::string>;

TEST_CASE("names lead to options and back") {
  const Names names = variant_names();
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  for (const std::string name : {"gqa", "mla_identity", "mla_orthogonal"})
    CHECK(std::find(names.begin(), names.end(), name) != names.end());
  for (const auto& name : variant_names()) {
    const auto config = variant_defaults(name);
    REQUIRE(config);
    CHECK(variant_name(*config) == name);
    AttentionShape shape = odd_sizes()[0].shape;
    if (name == "torchscript") continue;  // needs a file: torch_script_test.cpp
    if (name == "native_recurrence") {
      CHECK(variant_problem(shape, *config));
      shape.recurrent = RecurrentShape{.inner = 4};
      CHECK_FALSE(variant_problem(shape, *config));
      continue;
    }
    const bool from_gqa = name != "deepseek_mla";
    CHECK(variant_problem(shape, *config).has_value() == !from_gqa);
    shape.mla = MlaShape{.kv_lora_rank = 8, .qk_nope_head_dim = 6, .qk_rope_head_dim = 4, .v_head_dim = 6};
    CHECK(variant_problem(shape, *config).has_value() == from_gqa);
  }
  for (const std::string name : {"", "mla", "GQA", "mla_identity "}) CHECK_FALSE(variant_defaults(name));
}

// What has fields and is the Config of no row.
struct Stray {
  template <class Self, class Visitor>
  static void fields(Self&, Visitor&&) {}
};

TEST_CASE("options are a value: one that is changed leaves its copies, and what is moved from stays whole") {
  CHECK(VariantConfig() == VariantConfig(Gqa::Config{}));
  const AttentionShape shape = odd_sizes()[0].shape;  // 2 KV heads of 10 numbers
  VariantConfig config = MlaOrthogonal::Config{};
  const VariantConfig copy = config;
  CHECK(config == copy);
  CHECK_FALSE(fit_to_cache(config, shape, 20));
  CHECK(config.get<MlaOrthogonal>().rank == 5);
  CHECK_FALSE(copy.get<MlaOrthogonal>().rank);
  CHECK_FALSE(config == copy);
  const VariantConfig moved = std::move(config);
  CHECK(moved == config);
}

TEST_CASE("options are asked for by their row, and another row's end the program") {
  for (const auto& name : variant_names()) {
    const VariantConfig config = *variant_defaults(name);
    CHECK(config.is<MlaIdentity>() == (name == "mla_identity"));
    CHECK((config.get_if<MlaIdentity>() != nullptr) == (name == "mla_identity"));
    CHECK((config == MlaIdentity::Config{}) == (name == "mla_identity"));
  }
  const VariantConfig config = MlaIdentity::Config{};
  CHECK(aborts([&] { config.get<MlaOrthogonal>(); }));
  CHECK(aborts([] { VariantConfig(Stray{}); }));
}

TEST_CASE("a variant has options or none, whatever they are set to") {
  CHECK_FALSE(variant_has_options(Gqa::Config{}));
  CHECK(variant_has_options(MlaOrthogonal::Config{}));
  CHECK(variant_has_options(*variant_defaults("care")));
}

Names parameter_names(const AttentionShape& shape, const std::string& variant) {
  Names names;
  for (const auto& item : make_mixer(shape, *variant_defaults(variant))->named_parameters())
    names.push_back(item.key());
  return names;
}

// Checkpoints name their tensors by these: changing one makes every saved run unreadable.
TEST_CASE("parameter names are those of earlier checkpoints") {
  const AttentionShape bare{8, 4, 2, 6, false, false}, biased{8, 4, 2, 6, true, true};
  const Names mla{"q_proj.weight",    "k_proj.weight",    "v_proj.weight",
                  "k_up_proj.weight", "v_up_proj.weight", "o_proj.weight"};
  const Names mla_biased{"q_proj.weight", "q_proj.bias", "k_proj.weight",    "k_proj.bias",
                         "v_proj.weight", "v_proj.bias", "k_up_proj.weight", "v_up_proj.weight",
                         "o_proj.weight", "o_proj.bias"};
  CHECK(parameter_names(bare, "gqa") ==
        Names{"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"});
  CHECK(parameter_names(biased, "gqa") == Names{"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias",
                                                "v_proj.weight", "v_proj.bias", "o_proj.weight",
                                                "o_proj.bias"});
  for (const std::string name : {"mla_identity", "mla_orthogonal"}) {
    CHECK(parameter_names(bare, name) == mla);
    CHECK(parameter_names(biased, name) == mla_biased);
  }
}

TEST_CASE("cached slots are named and sized") {
  const AttentionShape shape{8, 4, 2, 6, false, false};
  const auto gqa = make_mixer(shape, Gqa::Config{})->state_layout();
  REQUIRE(gqa.size() == 2);
  CHECK(gqa[0].name == "k");
  CHECK(gqa[1].name == "v");
  const auto mla = make_mixer(shape, MlaOrthogonal::Config{.rank = 5})->state_layout();
  REQUIRE(mla.size() == 2);
  CHECK(mla[0].name == "k_latent");
  CHECK(mla[0].width == 10);
  CHECK(mla[1].name == "v_latent");
}

// The check that would have found a fact that is told wrongly.
TEST_CASE("a variant that says its start is exact computes what GQA does, and one that does not, does not") {
  const torch::NoGradGuard no_grad;
  for (const auto& size : odd_sizes()) {
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
    const auto expected = gqa->forward(random_input(size, kDouble, 22));
    for (const auto& config : all_variants()) {
      INFO(size.name << ": " << label(config));
      if (variant_problem(size.shape, config)) continue;
      const auto input = random_input(size, kDouble, 22, config);
      // Two products more than the chain has, and two sides that round independently.
      const bool equal =
          close(converted(*gqa, config)->forward(input), expected, 8 * tolerance(size, kDouble, expected));
      CHECK(equal == variant_is_exact(size.shape, config));
    }
  }
}

// Tables with a factor a (YaRN) give every score of the base a factor a²; so do queries that are a² as large.
// What a conversion takes rotary position from must keep it.
TEST_CASE("a factor on cos and sin stays in every conversion, also where numbers no longer turn") {
  const torch::NoGradGuard no_grad;
  constexpr double a = 1.5;
  for (auto size : odd_sizes()) {
    const auto larger = random_attention(size, Gqa::Config{}, kDouble, 21);
    for (auto& parameter : larger->named_parameters())
      if (parameter.key().starts_with("q_proj.")) parameter.value().mul_(a * a);
    size.shape.rotary_factor = a;
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
    for (const auto& config : all_variants()) {
      INFO(size.name << ": " << label(config));
      if (variant_problem(size.shape, config)) continue;
      auto input = random_input(size, kDouble, 22, config);
      const auto expected = converted(*larger, config)->forward(input);
      auto& [cos_BTH, sin_BTH] = input.tables();
      cos_BTH = a * cos_BTH, sin_BTH = a * sin_BTH;
      CHECK(close(converted(*gqa, config)->forward(input), expected, 8 * tolerance(size, kDouble, expected)));
    }
  }
}

TEST_CASE("a variant with a cache of given size keeps no more, and almost as much") {
  const AttentionShape shape{37, 6, 2, 10};
  for (const auto& name : variant_names_for(shape))
    for (const int64_t numbers : {1, 7, 20, 33, 40, 1000}) {
      const auto config = variant_with_cache(name, shape, numbers);
      if (!config) continue;
      INFO(name << ", " << numbers);
      REQUIRE_FALSE(variant_problem(shape, *config));
      const int64_t kept = numbers_per_token(make_mixer(shape, *config)->state_layout());
      CHECK(kept <= numbers);
      const int64_t most = numbers_per_token(make_mixer(shape, *variant_defaults(name))->state_layout());
      // Products of whole heads come in larger steps.
      const int64_t step = 2 * (name == "tpa" ? shape.head_dim : shape.n_kv_heads);
      CHECK(kept > std::min(numbers, most) - step);
    }
  CHECK(variant_with_cache("mla_orthogonal", shape, 20).has_value());
  CHECK_FALSE(variant_with_cache("gqa", shape, 20).has_value());
  CHECK_FALSE(variant_with_cache("mla_deepseek", shape, 10).has_value());  // the rotary numbers alone
}

TEST_CASE("FLOPs of a small layer, by hand") {
  const AttentionShape shape{8, 4, 2, 6, true, true};
  // q and o: 8 × 24 each; k and v: 8 × 12 each: 576 weights, 2 FLOPs each. Scores and sum: 2 · 2 · 24 a pair,
  // and 1 to 5 keys for 5 tokens, 3 on average.
  CHECK(make_mixer(shape, Gqa::Config{})->forward_flops_per_token(5) == 2 * 576 + 96 * 3);
  // Two up-projections 12 × 24 besides.
  CHECK(make_mixer(shape, MlaIdentity::Config{})->forward_flops_per_token(5) == 2 * (576 + 576) + 96 * 3);
  // Rank 3 of 6 halves k, v and both up-projections.
  CHECK(make_mixer(shape, MlaOrthogonal::Config{.rank = 3})->forward_flops_per_token(5) ==
        2 * (384 + 96 + 288) + 96 * 3);
}

}  // namespace
}  // namespace attnlab::test
