// The norm that stock DeepSeek-V3 puts on a latent, made the identity by a constant.
#include "attention/mla_deepseek.h"
#include "biased_decoder.h"
#include "catch.h"
#include "convert/deepseek_export.h"

namespace attnlab::test {

// All that the input has stands in one number, and the latent reads that one: √D times as large as the latents
// of other tokens. Four numbers with the constant, so that the norm's weight is a power of two and nothing is
// rounded.
TEST_CASE("the norm of an exported latent is the identity for tokens far from all others, too") {
  DecoderConfig config = small_config();
  config.d_model = 1024;
  const ModelForm form(config, variant_of("mla_deepseek", "{kv_lora_rank: 3, freqfold: 1}"));
  torch::manual_seed(3);
  const auto layer = make_layer(form, 0);
  TensorMap attention;
  const std::string prefix = "self_attn.";
  for (const auto& parameter : layer->named_parameters())
    if (parameter.key().starts_with(prefix))
      attention[parameter.key().substr(prefix.size())] = torch::randn(parameter.value().sizes());
  auto& down = attention.at("kv_a_proj_with_mqa.weight");
  down.narrow(0, 0, 3).narrow(1, 1, 1023).zero_();
  const auto exported = export_layer(form, attention, torch::ones({1024}), torch::kFloat32);
  const auto in_double = [](const TensorMap& tensors, const char* name) {
    return tensors.at(name).to(torch::kFloat64);
  };
  auto x = torch::zeros({1024}, torch::kFloat64);
  x[0] = 32;
  const auto y = (torch::mv(in_double(exported, "kv_a_proj_with_mqa.weight"), x) +
                  in_double(exported, "kv_a_proj_with_mqa.bias"))
                     .narrow(0, 0, 4);
  const auto normed =
      y / (y.square().mean() + config.norm_eps).sqrt() * in_double(exported, "kv_a_layernorm.weight");
  const auto found = torch::mv(in_double(exported, "kv_b_proj.weight"), normed);
  const auto expected =
      torch::mv(in_double(attention, "kv_b_proj.weight"),
                torch::mv(in_double(attention, "kv_a_proj_with_mqa.weight"), x).narrow(0, 0, 3));
  // (|z| / C)² / 2 with C = 2^20 times the latent of other tokens, or more; float32's rounding is 6e-8.
  CHECK(((found - expected).norm() / expected.norm()).item<double>() < 1e-9);
}

}  // namespace attnlab::test
