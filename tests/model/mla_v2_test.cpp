// The decoder makes rotary tables as wide as the variant reads them.
#include "attention/mla_v2.h"

#include "catch.h"
#include "model/generate.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::small_config;

// The naive twin: the whole sequence again for every token.
std::vector<int64_t> generate_without_cache(Decoder& decoder, std::vector<int64_t> ids, int64_t count) {
  const torch::NoGradGuard no_grad;
  const auto prompt = static_cast<int64_t>(ids.size());
  for (int64_t i = 0; i < count; ++i) {
    const auto hidden = decoder.hidden(torch::tensor(ids).unsqueeze(0));
    ids.push_back(decoder.logits(hidden.select(1, -1)).argmax(-1).item<int64_t>());
  }
  return {ids.begin() + prompt, ids.end()};
}

TEST_CASE("mla_v2 generates the same tokens with a cache as without, rotary repeated or extended") {
  const std::vector<std::vector<int64_t>> prompts{{5}, {7, 1, 30, 2, 2, 9, 11}, {4, 4, 8}, {20, 21}};
  for (const int64_t window : {0, 5})
    for (const auto rope : {GroupRope::repeat, GroupRope::extend})
      for (const bool absorb : {true, false}) {
        INFO("window " << window << ", " << name_of(rope) << ", absorb " << absorb);
        auto config = small_config();
        config.window = window;
        const auto decoder =
            make_decoder(config, lively_weights(config), MlaV2::Config{.rope = rope, .absorb = absorb});
        const int64_t width = rope == GroupRope::extend ? config.n_kv_heads * config.head_dim : config.head_dim;
        CHECK(decoder->rotary_at(torch::arange(3).unsqueeze(0)).at(0).cos_BTH.size(2) == width);
        std::vector<std::vector<int64_t>> alone;
        for (const auto& prompt : prompts) alone.push_back(generate_without_cache(*decoder, prompt, 20));
        CHECK(generate(*decoder, prompts, {.max_new_tokens = 20}) == alone);
      }
}

TEST_CASE("layers know what their attention is built from") {
  auto config = small_config();
  CHECK(config.attention_shape(1).layer == 1);
  CHECK(config.attention_shape().rotary_dim == 0);
  config.rotary_dim = 4;
  CHECK(config.attention_shape().rotary_dim == 4);
  CHECK_FALSE(config.attention_shape().scaled_by_frequency);
  config.rope_scaling = RopeScaling{.type = RopeType::linear, .factor = 2};
  CHECK_FALSE(config.attention_shape().scaled_by_frequency);
  config.rope_scaling->type = RopeType::longrope;
  CHECK(config.attention_shape().scaled_by_frequency);
}

}  // namespace
}  // namespace attnlab
