#include "model/decoder.h"

#include "attention/gqa.h"
#include "catch.h"
#include "model/loss.h"
#include "model/precision.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::random_ids;
using test::small_config;

torch::Tensor all_logits(Decoder& decoder, const torch::Tensor& ids) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(ids));
}

TEST_CASE("parameters carry Hugging Face's names") {
  const Decoder decoder(small_config(), Gqa::Config{});
  std::vector<std::string> names;
  for (const auto& parameter : decoder.named_parameters()) names.push_back(parameter.key());
  const auto has = [&](const char* name) { return std::count(names.begin(), names.end(), name) == 1; };
  CHECK(names.size() == 2 * 9 + 3);
  for (const char* name :
       {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
        "model.layers.1.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.mlp.down_proj.weight", "model.layers.1.post_attention_layernorm.weight"}) {
    INFO(name);
    CHECK(has(name));
  }
}

TEST_CASE("a token does not see those after it") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const auto ids = random_ids(1, 15, config.vocab_size);
  auto changed = ids.clone();
  changed[0][10] = (changed[0][10] + 1) % config.vocab_size;
  const auto a = all_logits(*decoder, ids), b = all_logits(*decoder, changed);
  CHECK((a - b).narrow(1, 0, 10).abs().max().item<double>() == 0);
  CHECK((a - b).narrow(1, 10, 5).abs().max().item<double>() > 0.01);
}

TEST_CASE("the summed loss counts exactly the positions with a target") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const std::vector<int64_t> ids{3, 1, 4, 1, 5, 9}, targets{1, -100, 1, -100, 9, 2};
  const auto input = make_loss_input(ids, targets, 2, 3, torch::kCPU);
  const auto log_p = torch::log_softmax(all_logits(*decoder, input.ids_BT), -1);
  const double expected = -(log_p[0][0][1] + log_p[0][2][1] + log_p[1][1][9] + log_p[1][2][2]).item<double>();
  CHECK(summed_loss(*decoder, input).item<double>() == Approx(expected).epsilon(1e-5));
}

TEST_CASE("FLOPs of a decoder, counted by hand") {
  // One layer, D = 4, one head of 2, d_ff = 3, V = 5, T = 1: q, k, v: 3·4·2, o: 2·4, MLP: 3·4·3, output: 5·4
  // multiply-adds; scores and values: 2·2.
  DecoderConfig config{
      .vocab_size = 5, .d_model = 4, .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 2, .d_ff = 3};
  CHECK(Decoder(config, Gqa::Config{}).forward_flops_per_token(1) == 2.0 * (24 + 8 + 36 + 20 + 4));
  config.qkv_bias = config.o_bias = config.mlp_bias = true;  // additions, not multiply-adds
  CHECK(Decoder(config, Gqa::Config{}).forward_flops_per_token(1) == 2.0 * (24 + 8 + 36 + 20 + 4));
}

TEST_CASE("a variant that starts as GQA keeps as many numbers as GQA does") {
  const auto config = small_config();
  const int64_t gqa = Decoder(config, Gqa::Config{}).cached_numbers_per_token();
  CHECK(gqa == 2 * 2 * 2 * 6);  // layers · (K and V) · KV heads · head_dim
  int exact = 0;
  for (const auto& name : variant_names_for(config.attention_shape())) {
    INFO(name);
    const auto variant = *variant_defaults(name);
    if (!variant_is_exact(config.attention_shape(), variant)) continue;
    CHECK(Decoder(config, variant).cached_numbers_per_token() == gqa);
    ++exact;
  }
  CHECK(exact == 6);  // GQA, MLA by identity and by orthogonal, mla_v2, CARE, TPA
}

TEST_CASE("bf16_mixed stays near float32 and keeps float32 weights and gradients") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, test::lively_weights(config), Gqa::Config{});
  const std::vector<int64_t> ids{3, 1, 4, 1, 5, 9}, targets{1, 4, 1, 5, 9, 2};
  const auto input = make_loss_input(ids, targets, 1, 6, torch::kCPU);
  const double exact = summed_loss(*decoder, input).item<double>();
  torch::Tensor loss;
  {
    const PrecisionScope scope(Precision::bf16_mixed, torch::kCPU);
    loss = summed_loss(*decoder, input);
  }
  CHECK(loss.item<double>() != exact);
  CHECK(loss.item<double>() == Approx(exact).epsilon(0.05));  // 8 bits of significand through two layers
  loss.backward();
  for (const auto& parameter : decoder->parameters()) {
    CHECK(parameter.scalar_type() == torch::kFloat32);
    CHECK(parameter.grad().scalar_type() == torch::kFloat32);
  }
  CHECK(summed_loss(*decoder, input).item<double>() == exact);  // the scope has ended
}

}  // namespace
}  // namespace attnlab
