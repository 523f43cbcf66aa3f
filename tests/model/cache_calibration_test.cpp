// What calibration text says of caches: levels that fit, a file that comes back, and whose it is.
#include "model/cache_calibration.h"

#include "attention/gqa.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "model/generate.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::small_config;
using test::variant_of;

std::shared_ptr<Decoder> decoder_of(const VariantConfig& variant, uint64_t seed = 1) {
  return make_decoder(small_config(), lively_weights(small_config(), seed), variant);
}

torch::Tensor some_rows(int64_t rows, int64_t length) {
  torch::manual_seed(8);
  return torch::randint(0, small_config().vocab_size, {rows, length}, torch::kInt64);
}

// How far logits of a step behind a prompt are from those of whole passes.
double error_of(Decoder& decoder, const StoragePlan& storage) {
  const torch::NoGradGuard no_grad;
  const auto ids = some_rows(4, 40);
  auto states = decoder.make_states(4, 40, {.storage = storage, .as_computed = false});
  decoder.hidden(ids.narrow(1, 0, 39), {.states = &states});
  const auto last = decoder.hidden(ids.narrow(1, 39, 1), {.sequence = {.begin = 39}, .states = &states});
  return (last - decoder.hidden(ids).narrow(1, 39, 1)).square().mean().item<double>();
}

TEST_CASE("calibrated levels of more bits keep more of the model") {
  for (const VariantConfig& variant : {VariantConfig(Gqa::Config{}), VariantConfig(MlaOrthogonal::Config{}),
                                       variant_of("mla_deepseek", "kv_lora_rank: 12")}) {
    INFO(variant_name(variant));
    const auto decoder = decoder_of(variant);
    std::vector<double> errors;
    for (const int64_t bits : {2, 3, 4}) {
      const auto tables =
          calibrate_cache(*decoder, some_rows(16, 32), {.bits = bits, .inliers = 0.98, .fisher = false}).tables;
      CHECK(tables.layers.size() == 2);
      const StorageConfig config{.name = CacheStorageName::kvquant};
      errors.push_back(error_of(*decoder, kvquant_storage(tables, config)));
    }
    CHECK(errors[0] > errors[1]);
    CHECK(errors[1] > errors[2]);
    CHECK(errors[2] > 0);
  }
}

TEST_CASE("numbers weigh by what the loss feels of them, unless all are to weigh alike") {
  const auto decoder = decoder_of(Gqa::Config{});
  const auto levels = [&](bool fisher) {
    return calibrate_cache(*decoder, some_rows(8, 32), {.fisher = fisher}).tables.layers[0].at("v").levels;
  };
  CHECK_FALSE(torch::allclose(levels(true), levels(false)));
  for (const auto& parameter : decoder->parameters()) CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("a calibration comes back from its file, and another model's is refused") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "c.safetensors";
  const auto decoder = decoder_of(Gqa::Config{}), other = decoder_of(Gqa::Config{}, 2);
  const auto calibration = calibrate_cache(*decoder, some_rows(8, 32), {.bits = 2});
  write_cache_calibration(path, calibration);
  const auto again = read_cache_calibration(path);
  CHECK(again.tables.bits == 2);
  CHECK(again.tables.inliers == 0.99);
  CHECK(torch::equal(again.tables.layers[1].at("k").lower_W, calibration.tables.layers[1].at("k").lower_W));
  CHECK(torch::equal(again.tables.layers[1].at("v").levels, calibration.tables.layers[1].at("v").levels));
  CHECK_FALSE(again.tables.layers[1].at("v").lower_W.defined());
  const CacheConfig config{.storage = {.name = CacheStorageName::kvquant, .calibration = path.string()}};
  const auto plan = cache_plan_for(config, *decoder);
  CHECK(error_of(*decoder, plan.storage) > 0);
  // Bytes with the outliers that the file's share makes likely.
  CHECK(decoder->state_bytes(config, 100, 4) < decoder->state_bytes({}, 100, 4) / 3);
  CHECK_THROWS_WITH(cache_plan_for(config, *other),
                    ContainsSubstring("eval.cache.calibration: found another model's calibration"));
  const auto latent = decoder_of(MlaOrthogonal::Config{});
  CHECK_THROWS_WITH(generate(*latent, {{1}}, {.cache = plan}),
                    ContainsSubstring("found no k_latent in layer 0, expected a calibration of this model"));
  write_safetensors(path, {{"fingerprint", torch::zeros({2, 2})}});
  CHECK_THROWS_WITH(read_cache_calibration(path), ContainsSubstring("a file that calibrate_cache wrote"));
}

}  // namespace
}  // namespace attnlab
