// The transform into MHA2MLA: exact where nothing is given up, and the frequencies that calibration text picks.
#include "attention/mha2mla.h"

#include <algorithm>

#include "biased_decoder.h"
#include "catch.h"
#include "model/families/families.h"

namespace attnlab::test {
namespace {

TEST_CASE("mha2mla: with all kept, both stages change nothing") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto done = convert_small(config, weights, Mha2Mla::Config{.qk_rope_head_dim = config.head_dim});
  REQUIRE(done.report.stages.size() == 2);  // run_conversion throws where an exact stage moves logits
  for (const auto& stage : done.report.stages) CHECK(stage.exact);
  CHECK(done.report.stages[0].layers[1].at("rope_energy") == Approx(1));
  CHECK(done.report.stages[1].layers[1].at("kv_energy_kept") == Approx(1));
  CHECK(done.report.stages[1].from_base.kl_divergence < 1e-9);
  CHECK(done.report.stages[1].cached_numbers == done.report.base_cached_numbers);
}

TEST_CASE("mha2mla: rotary is given up in one stage, numbers in the next") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto done = convert_small(config, weights, Mha2Mla::Config{.kv_lora_rank = 10});
  const auto& stages = done.report.stages;
  CHECK(stages[0].name == "select_rope");
  CHECK_FALSE(stages[0].exact);
  CHECK(stages[0].from_base.max_logit_difference > 0.01);
  CHECK(stages[0].cached_numbers == done.report.base_cached_numbers);
  CHECK_FALSE(stages[1].exact);
  CHECK(stages[1].cached_numbers == config.n_layers * (10 + config.n_kv_heads * config.head_dim / 2));
  CHECK(stages[1].layers[0].at("kv_energy_kept") < 1);
  const auto full = convert_small(config, weights, Mha2Mla::Config{});
  CHECK(full.report.stages[1].exact);
  // Decoding with the cache gives what the whole sequence gives; the form loads by its settled options.
  const auto ids = random_ids(1, 9, config.vocab_size);
  CHECK(logits_of({config, done.settled.front().variant()}, done.weights, ids).isfinite().all().item<bool>());
}

// Keys and queries of the first layer in plain loops; the products' sums in descending order.
TEST_CASE("mha2mla: frequencies are those whose pairs are largest on calibration text") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto done = convert_small(config, weights, Mha2Mla::Config{.qk_rope_head_dim = 4});
  const auto x = first_inputs(config, weights);
  const auto project = [&](const std::string& name) {
    const std::string prefix = "model.layers.0.self_attn." + name;
    return torch::linear(x, weights.at(prefix + ".weight").to(torch::kFloat64),
                         weights.at(prefix + ".bias").to(torch::kFloat64));
  };
  const auto q = project("q_proj"), k = project("k_proj");
  const int64_t H = config.head_dim, h = H / 2, per_kv = config.n_heads / config.n_kv_heads;
  const auto norm = [&](const torch::Tensor& y, int64_t p, int64_t head, int64_t i) {
    const auto* row = y.data_ptr<double>() + p * y.size(1) + head * H;
    return std::hypot(row[i], row[i + h]);
  };
  const auto found = done.weights.at("model.layers.0.self_attn.rope_frequency");
  double kept = 0, all = 0;
  for (int64_t g = 0; g < config.n_kv_heads; ++g) {
    std::vector<std::pair<double, int64_t>> sums;
    std::vector<double> energy(static_cast<size_t>(h), 0);
    for (int64_t i = 0; i < h; ++i) {
      double sum = 0;
      for (int64_t p = 0; p < x.size(0); ++p) {
        const double key = norm(k, p, g, i);
        for (int64_t n = g * per_kv; n < (g + 1) * per_kv; ++n) sum += norm(q, p, n, i) * key;
        energy[static_cast<size_t>(i)] += key * key;
      }
      sums.emplace_back(-sum, i);
      all += energy[static_cast<size_t>(i)];
    }
    std::sort(sums.begin(), sums.end());
    std::vector<int64_t> best{sums[0].second, sums[1].second};
    std::sort(best.begin(), best.end());
    for (int64_t j = 0; j < 2; ++j) {
      CHECK(found[2 * g + j].item<double>() == static_cast<double>(best[static_cast<size_t>(j)]));
      kept += energy[static_cast<size_t>(best[static_cast<size_t>(j)])];
    }
  }
  CHECK(done.report.stages[0].layers[0].at("rope_energy") == Approx(kept / all).epsilon(1e-5));
}

TEST_CASE("mha2mla: text is asked for where norms of it choose, and nowhere else") {
  const auto config = biased_config();
  const auto calibrated = [&](const Mha2Mla::Config& target) {
    bool any = false;
    const auto transform = make_transform(config, target);
    for (const auto& stage : transform->stages()) any = any || stage.calibrated;
    return any;
  };
  CHECK(calibrated({}));
  CHECK_FALSE(calibrated({.select = RopeSelect::high}));
  CHECK_FALSE(calibrated({.select = RopeSelect::uniform}));
  CHECK_FALSE(calibrated({.qk_rope_head_dim = config.head_dim}));
}

TEST_CASE("mha2mla: norms of query and key heads are refused, and fold in where that is asked for") {
  DecoderConfig config = small_config();
  config.family = Family::qwen3;
  CHECK_THROWS_WITH(make_transform(config, Mha2Mla::Config{}), ContainsSubstring("does not commute"));
  const auto weights = lively_weights(config);
  const auto done = convert_small(config, weights, Mha2Mla::Config{}, {.approximate_qk_norm = true});
  REQUIRE(done.report.stages.size() == 3);
  CHECK(done.report.stages[0].name == "fold_qk_norm");
  CHECK_THROWS_WITH(make_transform(biased_config(), Mha2Mla::Config{.kv_lora_rank = 100}),
                    ContainsSubstring("kv_lora_rank: found 100"));
}

}  // namespace
}  // namespace attnlab::test
