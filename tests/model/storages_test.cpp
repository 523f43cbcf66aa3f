// Caches that keep coded tokens, through everything that a decoder does with them.
#include "../state/storages.h"

#include "../state/every_second.h"
#include "attention/gqa.h"
#include "catch.h"
#include "model/generate.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::small_config;

std::vector<std::vector<int64_t>> prompts_of_many_lengths() {
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < 6; ++i) {
    prompts.emplace_back();
    for (int64_t t = 0; t <= 9 * i % 23; ++t) prompts.back().push_back((3 * i + 5 * t) % 37);
  }
  return prompts;
}

std::vector<std::vector<int64_t>> each_alone(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                             const GenerateOptions& options) {
  std::vector<std::vector<int64_t>> out;
  for (const auto& prompt : prompts) out.push_back(generate(decoder, {prompt}, options)[0]);
  return out;
}

// Double precision: a number on the edge between two codes falls alike however rows are laid out.
std::shared_ptr<Decoder> double_decoder(const ModelForm& form) {
  auto decoder = make_decoder(form, lively_weights(form.config));
  decoder->to(torch::kFloat64);
  return decoder;
}

TEST_CASE("a coded cache gives each prompt in a batch what it gives the prompt alone, dropped tokens or not") {
  const auto prompts = prompts_of_many_lengths();
  for (const auto& form : test::all_forms(small_config())) {
    const auto decoder = double_decoder(form);
    std::vector<StateLayout> layouts;
    for (const auto& layer : decoder->layers()) layouts.push_back(layer->mixer()->state_layout());
    for (auto config : test::all_storages()) {
      if (config.name == CacheStorageName::kivi) config.group = 2;
      INFO(form_name(form) << ", " << test::label(config));
      for (const bool drops : {false, true}) {
        CachePlan plan{.storage = test::storage_of(config, layouts), .as_computed = false};
        if (drops) plan.policy = test::every_second(false).policy;
        if (cache_problem(form, plan)) continue;
        const GenerateOptions alone{.max_new_tokens = 11, .cache = plan};
        const auto expected = each_alone(*decoder, prompts, alone);
        for (const int64_t chunk : {3, 512})
          CHECK(generate(*decoder, prompts,
                         {.max_new_tokens = 11, .prefill_chunk = chunk, .cache = plan, .batch_rows = 4}) ==
                expected);
      }
    }
  }
}

TEST_CASE("a group that does not divide is refused before the first token, with its key") {
  const auto decoder = double_decoder(ModelForm(small_config(), Gqa::Config{}));
  const CachePlan plan{.storage = storage_form(test::stored_as(CacheStorageName::int4, 5))};
  CHECK_THROWS_WITH(generate(*decoder, {{1, 2}}, {.cache = plan}),
                    ContainsSubstring("eval.cache.group: found 5, expected a divisor of the 6 numbers of k"));
}

}  // namespace
}  // namespace attnlab
