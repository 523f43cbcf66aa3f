// Decoders whose matrices lie side by side in memory.
#include "attention/side_by_side.h"

#include <algorithm>

#include "catch.h"
#include "generate_ways.h"
#include "kernels/latent_step.h"
#include "model/cache_calibration.h"
#include "model/decoder.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::all_forms;
using test::lively_weights;
using test::random_ids;
using test::small_config;
using torch::Tensor;

std::shared_ptr<Decoder> laid_decoder(const ModelForm& form, torch::ScalarType dtype) {
  auto decoder = test::make_decoder(form, lively_weights(form.config));
  decoder->to(dtype);
  return decoder;
}

Tensor whole_logits(Decoder& decoder, const Tensor& ids_BT) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(ids_BT));
}

// The prompt in one pass, then token by token.
Tensor stepwise_logits(Decoder& decoder, const Tensor& ids_BT, int64_t prompt) {
  const torch::NoGradGuard no_grad;
  auto states = decoder.make_states(ids_BT.size(0), ids_BT.size(1));
  std::vector<Tensor> hidden;
  for (int64_t begin = 0, T = prompt; begin < ids_BT.size(1); begin += T, T = 1)
    hidden.push_back(
        decoder.hidden(ids_BT.narrow(1, begin, T), {.sequence = {.begin = begin}, .states = &states}));
  return decoder.logits(torch::cat(hidden, 1));
}

// Of double precision; sums of some hundred terms through the layers.
void check_laid(const Tensor& found, const Tensor& expected) {
  const double worst = (found - expected).abs().max().item<double>();
  INFO("worst " << worst);
  CHECK(worst <= 1e-11 * expected.abs().max().item<double>());
}

TEST_CASE("a decoder whose matrices lie side by side computes and decodes the same, in every form") {
  for (const auto& config : {small_config(), test::small_experts()}) {
    const auto forms = config.mla ? std::vector{native_form(config)} : all_forms(config);
    for (const auto& form : forms) {
      INFO(variant_name(form.of(0)));
      const auto decoder = laid_decoder(form, torch::kFloat64);
      const auto ids = random_ids(2, 12, 37);
      const auto expected = whole_logits(*decoder, ids), in_steps = stepwise_logits(*decoder, ids, 5);
      lay_side_by_side(*decoder);
      check_laid(whole_logits(*decoder, ids), expected);
      check_laid(stepwise_logits(*decoder, ids, 5), in_steps);
      const LatentStepsInParts few;
      check_laid(stepwise_logits(*decoder, ids, 5), in_steps);
    }
  }
}

TEST_CASE(
    "tokens generated with matrices side by side and few kernels a step are the same, in rows and in batches") {
  const auto prompts = test::ragged_prompts(5);
  for (const auto& form : {native_form(small_config()), native_form(test::small_experts()),
                           ModelForm(small_config(), test::variant_of("mla_deepseek", "kv_lora_rank: 9"))}) {
    INFO(variant_name(form.of(0)));
    const auto decoder = laid_decoder(form, torch::kFloat64);
    const auto expected = test::alone(*decoder, prompts, {.max_new_tokens = 9});
    lay_side_by_side(*decoder);
    const LatentStepsInParts few;
    for (const auto& way : test::ways_to_generate({})) {
      INFO("rows " << way.batch_rows << ", chunk " << way.prefill_chunk << ", in rows "
                   << way.in_rows.value_or(false));
      CHECK(generate(*decoder, prompts, way) == expected);
    }
  }
}

// The step writes where the storage gives a place; where it gives none, and where a policy moves tokens, too.
TEST_CASE("few kernels a step, in every storage and under policies") {
  const auto decoder =
      laid_decoder({small_config(), test::variant_of("mla_deepseek", "kv_lora_rank: 9")}, torch::kFloat64);
  const auto prompts = test::ragged_prompts(4);
  std::vector<CacheConfig> caches(3);
  caches[1].storage.name = CacheStorageName::int8;
  caches[2].storage.name = CacheStorageName::minicache;
  caches.push_back({.policy = {.policy = CachePolicyName::window, .budget = 4}});
  caches.push_back({.policy = {.policy = CachePolicyName::h2o, .budget = 5}});
  caches.push_back({.policy = {.policy = CachePolicyName::streaming, .budget = 5, .sinks = 2}});
  int kept = 0;
  for (const auto& cache : caches) {
    INFO(name_of(cache.storage.name) << " " << name_of(cache.policy.policy));
    const CachePlan plan = read_cache_plan(cache);
    if (cache_problem(decoder->form(), plan)) continue;
    ++kept;
    const GenerateOptions options{.max_new_tokens = 9, .cache = plan};
    const auto expected = generate(*decoder, prompts, options);
    const LatentStepsInParts few;
    CHECK(generate(*decoder, prompts, options) == expected);
  }
  CHECK(kept >= 4);
}

TEST_CASE("the MLP's product of both matrices has their gradients") {
  const auto form = native_form(small_config());
  const auto apart = laid_decoder(form, torch::kFloat64), joined = laid_decoder(form, torch::kFloat64);
  lay_side_by_side(*joined);
  const auto ids = random_ids(2, 12, 37);
  for (auto* decoder : {apart.get(), joined.get()})
    decoder->logits(decoder->hidden(ids)).sin().sum().backward();
  for (const auto& parameter : apart->named_parameters()) {
    INFO(parameter.key());
    check_laid(joined->named_parameters()[parameter.key()].grad(), parameter.value().grad());
  }
}

TEST_CASE("on a GPU a loaded decoder's matrices lie side by side, on a CPU they do not") {
  const auto is_one = [](Decoder& decoder) {
    for (const auto& module : decoder.modules())
      if (auto* shares = dynamic_cast<SharesInputs*>(module.get()))
        for (const auto* input : shares->shared_inputs())
          if (!input->is_one_product()) return false;
    return true;
  };
  const auto decoder = laid_decoder(native_form(small_config()), torch::kFloat32);
  lay_side_by_side_on_gpu(*decoder);
  CHECK_FALSE(is_one(*decoder));
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  decoder->to(torch::kCUDA);
  CHECK_FALSE(is_one(*decoder));
  lay_side_by_side_on_gpu(*decoder);
  CHECK(is_one(*decoder));
}

}  // namespace
}  // namespace attnlab
