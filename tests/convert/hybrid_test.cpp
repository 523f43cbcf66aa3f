// Conversions of some layers, one behind the other, and what calibration knows of any matrix.
#include <fmt/format.h>

#include "aborts.h"
#include "attention/care.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/mla_v2.h"
#include "biased_decoder.h"
#include "catch.h"
#include "convert/conversion_json.h"
#include "convert/layer_tensors.h"
#include "core/find_field.h"

namespace attnlab::test {
namespace {

MemoryConversion convert_steps(const DecoderConfig& config, const TensorMap& weights,
                               const std::vector<ConversionStep>& steps) {
  const auto transform = make_transform(native_form(config), steps);
  return convert_in_memory(config, weights, *transform, random_data(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

std::string refusal(const ModelForm& source, const std::vector<ConversionStep>& steps) {
  try {
    make_transform(source, steps);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("steps convert their own layers, one behind the other, and leave the others as they are") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const std::vector<ConversionStep> steps{{variant_of("mla_deepseek", "{kv_lora_rank: 9, freqfold: 1}"), {2}},
                                          {MlaOrthogonal::Config{}, {0}}};
  const auto done = convert_steps(config, weights, steps);
  CHECK(form_name(done.form) == "mla_orthogonal + gqa + mla_deepseek");
  CHECK(done.report.stages.back().name == "mla_orthogonal@0");
  CHECK(done.report.stages.back().exact);
  CHECK(done.report.stages.back().max_difference < done.report.stages.back().tolerance);
  CHECK(done.report.stages[0].name == "rotate@2");
  CHECK(done.report.stages[0].layers[0].empty());
  CHECK(done.report.stages[0].layers[2].contains("rope_energy"));
  for (const auto& [name, tensor] : weights)
    if (name.find("layers.1.") != std::string::npos) CHECK(torch::equal(done.weights.at(name), tensor));
  // 2 · 16 numbers in layers 0 and 1, 9 + 8 in layer 2.
  CHECK(done.report.stages.back().cached_numbers == 2 * 32 + 9 + config.head_dim);
  // It is what converting that layer alone gives.
  const auto only = convert_steps(config, weights, {steps[0]});
  for (const auto& [name, tensor] : only.weights)
    if (name.find("layers.2.self_attn") != std::string::npos)
      CHECK(torch::equal(done.weights.at(name), tensor));
  CHECK(logits_of(done.form, done.weights, random_ids(1, 9, config.vocab_size)).isfinite().all().item<bool>());
}

TEST_CASE("settings that take a look are settled for a step's own layers, and read back as they were") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const std::vector<ConversionStep> steps{{variant_of("mla_deepseek", "kv_lora_rank: 9"), {0}},
                                          {Care::Config{.rank = 5}, {1, 2}}};
  CHECK(make_transform(native_form(config), steps)->has_open_settings());
  const auto done = convert_steps(config, weights, steps);
  const auto settled = variant_fields(done.settled[0].variant());
  const auto* freqfold = find_field<std::string>(settled, "freqfold");
  REQUIRE(freqfold);
  CHECK(*freqfold != "auto");
  const auto& ranks = done.settled[1].variant().get<Care>().layers;
  REQUIRE(ranks.keys.size() == 3);
  CHECK(ranks.keys[1] + ranks.keys[2] + ranks.values[1] + ranks.values[2] == 2 * 2 * 5);
  const auto again = steps_from_json(nlohmann::json::parse(steps_to_json(done.settled).dump()));
  CHECK_FALSE(make_transform(native_form(config), again)->has_open_settings());
  CHECK(steps_to_json(again) == steps_to_json(done.settled));
}

TEST_CASE("layers that are not GQA, or not there, can't be converted") {
  const auto config = biased_config();
  const ModelForm trained(config, MlaIdentity::Config{});
  CHECK_THAT(refusal(trained, {{MlaOrthogonal::Config{}, {0, 1, 2}}}),
             ContainsSubstring("mla_identity in layer 0") && ContainsSubstring("gqa"));
  CHECK_THAT(refusal(native_form(config), {{MlaIdentity::Config{}, {0, 1}}, {MlaV2::Config{}, {1}}}),
             ContainsSubstring("mla_identity in layer 1"));
  CHECK_THAT(refusal(native_form(config), {{MlaIdentity::Config{}, {3}}}), ContainsSubstring("layer 3"));
  CHECK(refusal(native_form(config), {{MlaIdentity::Config{}, {0, 1}}, {MlaV2::Config{}, {2}}}) == "accepted");
}

TEST_CASE("a layer takes exactly the tensors of its form") {
  const auto config = biased_config();
  TensorMap layer;
  const std::string prefix = "model.layers.1.";
  for (const auto& [name, tensor] : biased_weights(config))
    if (name.starts_with(prefix)) layer[name.substr(prefix.size())] = tensor;
  CHECK_NOTHROW(load_layer(native_form(config), 1, layer));
  auto surplus = layer;
  surplus["self_attn.k_up_proj.weight"] = torch::zeros({2, 2});
  CHECK(aborts([&] { load_layer(native_form(config), 1, surplus); }));
  layer.erase("mlp.up_proj.weight");
  CHECK(aborts([&] { load_layer(native_form(config), 1, layer); }));
}

// The MLP of a LLaMA layer on what stands before it, in double.
TEST_CASE("calibration tells the inputs of any matrix of a layer") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto data = random_data(config);
  const LayerStream stream(native_form(config), data.calibration, weights.at("model.embed_tokens.weight"),
                           torch::kCPU);
  TensorMap layer;
  for (const auto& [name, tensor] : weights)
    if (name.starts_with("model.layers.0.")) layer[name.substr(15)] = tensor;
  const CalibrationInputs inputs(stream, 0, layer);
  const auto x = first_inputs(config, weights);
  const auto moment = torch::matmul(x.t(), x);
  const auto near = [](const torch::Tensor& found, const torch::Tensor& expected) {
    return (found - expected).abs().max().item<double>() < 1e-4 * expected.abs().max().item<double>();
  };
  const auto moments = inputs.input_moments({"self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"});
  CHECK(near(moments.at("self_attn.q_proj"), moment));
  CHECK(near(moments.at("self_attn.v_proj"), inputs.second_moment({}, {})));
  // Inputs of down_proj from those of gate_proj.
  std::vector<torch::Tensor> gate_inputs;
  const LayerCopies copies = stream.load(0, layer);
  const auto gate = *copies.of(0).named_modules().find("mlp.gate_proj");  // the list is gone behind this line
  const LinearTap tap([&](const LinearImpl& linear, const torch::Tensor& y) {
    if (&linear == gate.get()) gate_inputs.push_back(y.flatten(0, -2));
  });
  stream.each(0, Precision::float32,
              [&](size_t i, const MixerInput& input) { copies.of(i).forward(stream.states()[i], input); });
  const auto y = torch::cat(gate_inputs).to(torch::kFloat64);
  const auto in_double = [&](const char* name) { return layer.at(name).to(torch::kFloat64); };
  const auto hidden = torch::silu(torch::matmul(y, in_double("mlp.gate_proj.weight").t())) *
                      torch::matmul(y, in_double("mlp.up_proj.weight").t());
  CHECK(near(moments.at("mlp.down_proj"), torch::matmul(hidden.t(), hidden)));
  CHECK(y.size(0) == data.calibration.tokens());
  CHECK(aborts([&] { inputs.input_moments({"mlp.no_such_proj"}); }));
}

}  // namespace
}  // namespace attnlab::test
