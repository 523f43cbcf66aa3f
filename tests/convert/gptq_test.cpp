// Conversions of matrices to fewer bits: each sees what the quantised ones before it give.
#include <fmt/format.h>

#include "attention/mla_identity.h"
#include "biased_decoder.h"
#include "catch.h"
#include "convert/conversion_json.h"
#include "quantize/packed_matrix.h"

namespace attnlab::test {
namespace {

DecoderConfig wide_config() {
  return {.family = Family::llama,
          .vocab_size = 40,
          .d_model = 64,
          .n_layers = 2,
          .n_heads = 4,
          .n_kv_heads = 2,
          .head_dim = 16,
          .d_ff = 96,
          .max_positions = 64,
          .tie_embeddings = false};
}

ConversionData text_of(const DecoderConfig& config) {
  return {make_batches(random_rows(config.vocab_size, 40, 24, 1)),
          make_batches(random_rows(config.vocab_size, 2, 24, 2))};
}

MemoryConversion quantised(const DecoderConfig& config, const TensorMap& weights,
                           const std::vector<ConversionStep>& steps) {
  const auto transform = make_transform(native_form(config), steps);
  return convert_in_memory(config, weights, *transform, text_of(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

ConversionStep everywhere(const ConversionTarget& target) { return {target, {0, 1}}; }

PackedMatrix packed_of(const TensorMap& weights, const std::string& module) {
  return {.qweight = weights.at(module + ".qweight"),
          .qzeros = weights.at(module + ".qzeros"),
          .scales = weights.at(module + ".scales"),
          .g_idx = weights.at(module + ".g_idx")};
}

TEST_CASE("GPTQ errs less than rounding on every matrix, and the model says what its packed matrices do") {
  const auto config = wide_config();
  const auto weights = lively_weights(config);
  const auto done = quantised(config, weights, {everywhere(GptqOptions{.bits = 4, .group_size = 32})});
  REQUIRE(done.form.packing);
  CHECK(done.form.packing->whole.empty());
  for (const auto& layer : done.report.stages[0].layers)
    for (const char* matrix : {"self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"}) {
      CHECK(layer.at(std::string(matrix) + " of rounding") < 0.95);
      CHECK(layer.at(std::string(matrix) + " error") > 0.001);
      CHECK(layer.at(std::string(matrix) + " error") < 0.2);
    }
  const auto nearest = quantised(config, weights, {everywhere(RtnOptions{.bits = 4, .group_size = 32})});
  CHECK(done.report.stages[0].from_base.kl_divergence < nearest.report.stages[0].from_base.kl_divergence);
  // What was measured is what the packed tensors, loaded into a decoder, compute.
  const auto ids = text_of(config).heldout.ids_BT[0];
  const auto base = logits_of(native_form(config), weights, ids),
             after = logits_of(done.form, done.weights, ids);
  CHECK((after - base).abs().max().item<double>() ==
        Approx(done.report.stages[0].from_base.max_logit_difference).epsilon(1e-3));
  // 4 bits, half-precision scales of 32 and zero points of 4 bits; the embedding, head and norms whole.
  const int64_t matrices = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96);
  const double groups = static_cast<double>(matrices) / 32;
  const double index = 4.0 * 2 * (6 * 64 + 96), whole = 4.0 * (2 * 40 * 64 + 5 * 64);
  CHECK(done.report.stages[0].weight_bytes ==
        Approx(static_cast<double>(matrices) / 2 + groups * 2.5 + index + whole));
}

// The first matrix of each kind is quantised on what the base gives; all others on what came out before.
TEST_CASE("each matrix is GPTQ on its own inputs, which went through the quantised ones before it") {
  const auto config = wide_config();
  const auto weights = lively_weights(config);
  const GptqOptions options{.bits = 3, .group_size = 16, .sym = false, .act_order = true};
  const auto done = quantised(config, weights, {everywhere(options)});
  const MatrixPacking& packing = *done.form.packing;
  TensorMap now = weights;  // matrices up to the one at hand hold their quantised numbers
  for (int64_t layer = 0; layer < 2; ++layer)
    for (const char* matrix : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      const std::string module = fmt::format("model.layers.{}.{}", layer, matrix);
      Decoder decoder(native_form(config));
      load_weights(decoder, now);
      std::shared_ptr<LinearImpl> linear;
      for (const auto& [name, found] : linears_of(*decoder.layers()[static_cast<size_t>(layer)]))
        if (name == matrix) linear = found;
      torch::Tensor moment = torch::zeros({linear->in(), linear->in()}, torch::kFloat64);
      const torch::NoGradGuard no_grad;
      const LinearTap tap([&](const LinearImpl& heard, const torch::Tensor& x) {
        if (&heard != linear.get()) return;
        const auto rows = x.flatten(0, -2).to(torch::kFloat64);
        moment += rows.t().matmul(rows);
      });
      for (const auto& ids : text_of(config).calibration.ids_BT) decoder.hidden(ids);
      const auto expected = gptq(weights.at(module + ".weight"), gptq_hessian(moment, 40), options, 1);
      const auto found = unpack(packed_of(done.weights, module), packing);
      // Sums over tokens in another order flip roundings that lie on a half.
      const auto differing = (found.ints_OI != expected.ints_OI).sum().item<int64_t>();
      INFO(module);
      CHECK(differing <= found.ints_OI.numel() / 50);
      now[module + ".weight"] = packed_weight(packed_of(done.weights, module), packing, torch::kFloat32);
    }
}

TEST_CASE("quantisation follows a conversion of attention, of all layers or of some") {
  const auto config = wide_config();
  const auto weights = lively_weights(config);
  const auto both = quantised(config, weights,
                              {everywhere(variant_of("mla_deepseek", "{kv_lora_rank: 16, freqfold: '1'}")),
                               {GptqOptions{.bits = 8, .group_size = -1}, {1}}});
  CHECK(both.report.stages.back().name == "gptq@1");
  REQUIRE(both.form.packing);
  CHECK(both.form.packing->whole.contains("model.layers.0.self_attn.q_proj"));
  CHECK_FALSE(both.form.packing->whole.contains("model.layers.1.self_attn.q_proj"));
  const auto& stages = both.report.stages;
  // 8 bits change little of what 16 numbers left.
  CHECK(stages.back().max_difference < 0.1 * stages[stages.size() - 2].from_base.max_logit_difference);
  CHECK(stages.back().cached_numbers == stages[stages.size() - 2].cached_numbers);
  const auto ids = text_of(config).heldout.ids_BT[0];
  CHECK(logits_of(both.form, both.weights, ids).isfinite().all().item<bool>());
  const auto again = steps_from_json(nlohmann::json::parse(steps_to_json(both.settled).dump()));
  CHECK(steps_to_json(again) == steps_to_json(both.settled));
}

TEST_CASE("experts are quantised on the tokens that reach them") {
  DecoderConfig config = wide_config();
  config.family = Family::mixtral;
  config.moe = MoeShape{.n_experts = 4, .experts_per_token = 2, .d_ff = 96};
  const auto weights = lively_weights(config);
  const auto done = quantised(config, weights, {everywhere(GptqOptions{.bits = 4, .group_size = 32})});
  CHECK(done.weights.contains("model.layers.1.block_sparse_moe.experts.3.w2.qweight"));
  CHECK(done.weights.contains("model.layers.1.block_sparse_moe.gate.weight"));
  for (const auto& [fact, value] : done.report.stages[0].layers[1])
    if (fact.ends_with("of rounding")) CHECK(value < 1);
}

std::string gptq_refusal(const ModelForm& source, const ConversionTarget& target) {
  try {
    make_transform(source, {{target, all_layers(source.config)}});
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("bits, groups, shapes and models that can't be packed are refused") {
  const ModelForm good = native_form(wide_config());
  CHECK(gptq_refusal(good, GptqOptions{.group_size = 32}) == "accepted");
  CHECK(gptq_refusal(good, GptqOptions{}) == "accepted");  // 128 columns: all of each matrix
  CHECK_THAT(gptq_refusal(good, GptqOptions{.bits = 5}),
             ContainsSubstring("bits: found 5, expected 2, 3, 4 or 8"));
  CHECK_THAT(gptq_refusal(good, RtnOptions{.group_size = 40}),
             ContainsSubstring("group_size: found 40, expected a divisor of 64") &&
                 ContainsSubstring("self_attn.q_proj"));
  CHECK_THAT(gptq_refusal(good, RtnOptions{.group_size = 0}), ContainsSubstring("group_size: found 0"));
  CHECK_THAT(gptq_refusal(native_form(biased_config()), GptqOptions{.group_size = -1}),
             ContainsSubstring("multiples of 32"));
  ModelForm packed = good;
  packed.packing = MatrixPacking{};
  CHECK_THAT(gptq_refusal(packed, GptqOptions{.group_size = 32}), ContainsSubstring("found weights of 4 bits"));
  CHECK_THAT(gptq_refusal(packed, VariantConfig(MlaIdentity::Config{})), ContainsSubstring("quantise last"));
  DecoderConfig fused = wide_config();
  fused.family = Family::phi3;
  CHECK_THAT(gptq_refusal(native_form(fused), GptqOptions{}), ContainsSubstring("fused projections"));
}

}  // namespace
}  // namespace attnlab::test
