// What of a conversion is measured, how finely, and what a run that ends early leaves behind.
#include "biased_decoder.h"
#include "catch.h"
#include "convert/conversion_json.h"
#include "convert/rounding.h"

namespace attnlab::test {
namespace {

MlaDeepseek::Config halved() { return {.kv_lora_rank = 16, .freqfold = "1"}; }

MemoryConversion convert_with(const ConversionData& data, Precision kept_in = Precision::float32) {
  ConversionData used = data;
  used.heldout_precision = kept_in;
  const auto config = biased_config();
  const auto transform = make_transform(config, halved());
  return convert_in_memory(config, biased_weights(config), *transform, used, torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

ConversionData measured(Measured measured) {
  ConversionData data = random_data(biased_config());
  data.measured = measured;
  return data;
}

void check_same_weights(const MemoryConversion& a, const MemoryConversion& b) {
  REQUIRE(a.weights.size() == b.weights.size());
  for (const auto& [name, tensor] : a.weights) CHECK(torch::equal(b.weights.at(name), tensor));
}

TEST_CASE("measuring the ends alone gives the same weights, and the same numbers of the result") {
  const auto all = convert_with(measured(Measured::stages)), ends = convert_with(measured(Measured::ends));
  check_same_weights(all, ends);
  const auto& stages = ends.report.stages;
  REQUIRE(stages.size() == all.report.stages.size());
  for (size_t s = 0; s + 1 < stages.size(); ++s) {
    CHECK(all.report.stages[s].from_base.positions == 48);
    CHECK(stages[s].from_base.positions == 0);
  }
  const Equivalence &last = stages.back().from_base, &expected = all.report.stages.back().from_base;
  CHECK(last.positions == 48);
  CHECK(last.kl_divergence == expected.kl_divergence);
  CHECK(last.perplexity_after == expected.perplexity_after);
  CHECK(ends.report.base_perplexity == all.report.base_perplexity);
  CHECK(all.report.stages.back().max_difference.has_value());
  CHECK_FALSE(stages.back().max_difference.has_value());
  CHECK_THAT(conversion_table(ends.report), ContainsSubstring("not measured"));
  CHECK_FALSE(to_json(ends.report).at("stages").back().contains("max_logit_difference_from_stage_before"));
}

TEST_CASE("what is not measured is converted all the same") {
  const auto none = convert_with(measured(Measured::none));
  check_same_weights(convert_with(measured(Measured::stages)), none);
  CHECK(none.report.base_perplexity == 0);
  for (const auto& stage : none.report.stages) CHECK(stage.from_base.positions == 0);
}

TEST_CASE("held-out text in bfloat16 changes what is measured by its rounding, and no weight") {
  const auto fine = convert_with(measured(Measured::stages));
  const auto coarse = convert_with(measured(Measured::stages), Precision::bf16_mixed);
  check_same_weights(fine, coarse);
  const Equivalence &a = fine.report.stages.back().from_base, &b = coarse.report.stages.back().from_base;
  CHECK(a.perplexity_after != b.perplexity_after);
  CHECK(std::abs(a.max_logit_difference - b.max_logit_difference) <=
        rounding_tolerance(biased_config(), a.largest_logit, Precision::bf16_mixed));
  // bfloat16 has 16 bits less than float32.
  CHECK(rounding_tolerance(biased_config(), 3, Precision::bf16_mixed) ==
        65536 * rounding_tolerance(biased_config(), 3));
}

TEST_CASE("models compared in one pass give what pairs of them give") {
  const auto config = small_config();
  std::vector<std::shared_ptr<Decoder>> decoders;
  for (const uint64_t seed : {1, 2, 3})
    decoders.push_back(make_decoder(config, lively_weights(config, seed), Gqa::Config{}));
  const auto ids_BT = random_ids(3, 13, config.vocab_size);
  const torch::NoGradGuard no_grad;
  std::vector<LogitSource> models;
  for (const auto& decoder : decoders)
    models.push_back(
        {decoder->hidden(ids_BT), [decoder](const torch::Tensor& h) { return decoder->logits(h); }});
  std::vector<StepSums> sums(2, StepSums(torch::kCPU));
  for (auto& each : sums) each = StepSums(torch::kCPU);  // tensors of their own
  add_logits(models, ids_BT, sums);
  const Equivalence second = sums[1].from_first.result(),
                    pair = compare_logits(*decoders[0], *decoders[2], ids_BT);
  CHECK(second.kl_divergence == pair.kl_divergence);
  CHECK(second.max_logit_difference == pair.max_logit_difference);
  CHECK(second.top1_agreement == pair.top1_agreement);
  CHECK(sums[1].from_before.item<double>() ==
        compare_logits(*decoders[1], *decoders[2], ids_BT).max_logit_difference);
  CHECK(sums[0].from_before.item<double>() == sums[0].from_first.result().max_logit_difference);
}

TEST_CASE("fitted to the base, the first converted layer is what it is when fitted to the stages") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const MlaDeepseek::Config target{.kv_lora_rank = 16, .q_lora_rank = 12, .freqfold = "2"};
  const auto of = [&](CalibratedOn on) {
    return convert_small(config, weights, target, {.exported = false, .calibrated_on = on});
  };
  const auto stages = of(CalibratedOn::stages), base = of(CalibratedOn::base);
  // Layers before the first one there are none: both see the same text, moments up to float32's rounding of
  // keys and values. Products of the two factors don't depend on the directions' signs.
  const auto product = [](const MemoryConversion& done, const std::string& layer) {
    const auto up = done.weights.at(layer + "kv_b_proj.weight").to(torch::kFloat64);
    const auto down = done.weights.at(layer + "kv_a_proj_with_mqa.weight").to(torch::kFloat64);
    return torch::matmul(up, down.narrow(0, 0, up.size(1)));
  };
  const auto apart = [&](int64_t layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".self_attn.";
    const auto a = product(stages, prefix), b = product(base, prefix);
    return ((a - b).abs().max() / a.abs().max()).item<double>();
  };
  CHECK(apart(0) < 1e-4);
  CHECK(apart(2) > 1e-4);  // its inputs differ by what rotary's removal changed
  const auto facts = [](const MemoryConversion& done, const char* name) {
    return done.report.stages.back().layers[0].at(name);
  };
  for (const char* name : {"balance_ratio", "kv_energy_kept", "q_energy_kept"})
    CHECK(facts(base, name) == Approx(facts(stages, name)).epsilon(1e-5));
}

struct CountedStore final : ConversionStore {
  void put(int64_t, const TensorMap&) override {}
  std::optional<Position> position() override { return std::nullopt; }
  void save(const Position& position) override { next.push_back(position.next_layer); }
  std::vector<int64_t> next;
};

TEST_CASE("a run that is told to end leaves all layers that are done behind it") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const torch::NoGradGuard no_grad;
  const auto source = source_of(config, weights);
  const auto transform = make_transform(config, halved());
  CountedStore store;
  CHECK_THROWS_WITH(run_conversion(source, *transform, random_data(config), store, torch::kFloat32,
                                   [](const std::string&, int64_t done, int64_t) {
                                     if (done == 2) throw RunError("told to end");
                                   }),
                    "told to end");
  REQUIRE_FALSE(store.next.empty());
  CHECK(store.next.front() == 1);
  CHECK(store.next.back() == 2);
}

}  // namespace
}  // namespace attnlab::test
