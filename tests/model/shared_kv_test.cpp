// Models of which some layers read the keys and values of another: cross-layer attention and YOCO.
#include "attention/shared_kv.h"

#include "attention/cla.h"
#include "attention/gqa.h"
#include "attention/yoco.h"
#include "catch.h"
#include "core/errors.h"
#include "model/kv_budget.h"
#include "model/loss.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

DecoderConfig many_layers(int64_t n) {
  auto config = test::small_config();
  config.n_layers = n;
  return config;
}

std::shared_ptr<Decoder> of(const VariantConfig& variant, int64_t layers = 5) {
  auto decoder = test::make_decoder(many_layers(layers), test::lively_weights(many_layers(layers)), variant);
  decoder->to(torch::kFloat64);
  return decoder;
}

torch::Tensor some_ids(int64_t rows, int64_t length) {
  torch::manual_seed(11);
  return torch::randint(0, test::small_config().vocab_size, {rows, length}, torch::kInt64);
}

std::vector<VariantConfig> sharing_forms() {
  return {Cla::Config{}, Cla::Config{.share = 3, .start = SharedStart::first},
          Cla::Config{.own_layers = {0, 1, 4}}, Yoco::Config{.window = 4},
          Yoco::Config{.first_half = YocoFirstHalf::retention, .start = SharedStart::first}};
}

TEST_CASE("decoding step by step gives what the whole pass gives where layers share keys and values") {
  const torch::NoGradGuard no_grad;
  for (const auto& variant : sharing_forms()) {
    INFO(variant_name(variant));
    const auto decoder = of(variant);
    const auto ids = some_ids(2, 14);
    const auto whole = decoder->hidden(ids);
    auto states = decoder->make_states(2, 14);
    std::vector<torch::Tensor> pieces{decoder->hidden(ids.narrow(1, 0, 6), {.states = &states})};
    for (int64_t t = 6; t < 14; ++t)
      pieces.push_back(decoder->hidden(ids.narrow(1, t, 1), {.sequence = {.begin = t}, .states = &states}));
    CHECK(torch::allclose(torch::cat(pieces, 1), whole, 1e-9, 1e-9));
  }
}

TEST_CASE("a base with norms of query and key heads gives layers without keys those of the queries alone") {
  auto config = many_layers(3);
  config.family = Family::qwen3;
  const auto weights = test::lively_weights(config);
  for (const auto& variant : sharing_forms()) {
    if (variant_problem(config.attention_shape(1), variant)) continue;  // own_layers beyond the third
    INFO(variant_name(variant));
    const auto decoder = test::make_decoder(config, weights, variant);
    CHECK(decoder->hidden(some_ids(1, 5)).isfinite().all().item<bool>());
    const auto names = decoder->named_parameters();
    CHECK(names.contains("model.layers.2.self_attn.q_norm.weight"));
    CHECK(names.contains("model.layers.2.self_attn.k_norm.weight") ==
          names.contains("model.layers.2.self_attn.k_proj.weight"));
  }
}

TEST_CASE("cla of one layer a group is the base, and sharing changes it") {
  const torch::NoGradGuard no_grad;
  const auto base = of(Gqa::Config{}), alone = of(Cla::Config{.share = 1}), pairs = of(Cla::Config{});
  const auto ids = some_ids(2, 9);
  CHECK(torch::equal(base->hidden(ids), alone->hidden(ids)));
  CHECK((base->hidden(ids) - pairs->hidden(ids)).abs().max().item<double>() > 1e-2);
}

TEST_CASE("groups start from the mean of their layers' keys and values, or from the first's") {
  const auto config = many_layers(5);
  const auto base = test::lively_weights(config);
  const auto key = [](int64_t layer) {
    return "model.layers." + std::to_string(layer) + ".self_attn.k_proj.weight";
  };
  const auto mean = convert_weights(base, ModelForm(config, Cla::Config{}));
  const auto first = convert_weights(base, ModelForm(config, Cla::Config{.start = SharedStart::first}));
  CHECK(torch::allclose(mean.at(key(2)), (base.at(key(2)) + base.at(key(3))) / 2));
  CHECK(torch::equal(mean.at(key(4)), base.at(key(4))));
  CHECK(torch::equal(first.at(key(2)), base.at(key(2))));
  CHECK_FALSE(mean.contains(key(1)));
  const auto yoco = convert_weights(base, ModelForm(config, Yoco::Config{}));
  CHECK(torch::equal(yoco.at(key(1)), base.at(key(1))));
  CHECK(torch::allclose(yoco.at(key(2)), (base.at(key(2)) + base.at(key(3)) + base.at(key(4))) / 3));
  CHECK_FALSE(yoco.contains(key(4)));
}

TEST_CASE("cached numbers and bytes count what layers of their own keep") {
  const int64_t own = 2 * 2 * 6;  // k and v of two heads
  CHECK(of(Cla::Config{})->cached_numbers_per_token() == 3 * own);
  CHECK(of(Cla::Config{.own_layers = {0, 1, 4}})->cached_numbers_per_token() == 3 * own);
  CHECK(kv_form(ModelForm(many_layers(4), Cla::Config{})).numbers == own / 2);
  const auto yoco = of(Yoco::Config{.window = 10}, 4);
  CHECK(yoco->state_bytes({}, 100, 2) == 2 * own * (2 * 10 + 100));
  const auto retention = of(Yoco::Config{.first_half = YocoFirstHalf::retention}, 4);
  CHECK(retention->cached_numbers_per_token() == own);
  for (const auto& form : kv_forms(many_layers(4)))
    if (form.name == "cla") CHECK(form.numbers == own / 2);
}

TEST_CASE("gradients reach shared keys from all layers that read them, recomputed or not") {
  for (const auto& variant : sharing_forms()) {
    INFO(variant_name(variant));
    std::vector<TensorMap> gradients;
    for (const bool recompute : {false, true}) {
      const auto decoder = of(variant);
      for (auto& parameter : decoder->parameters()) parameter.requires_grad_(true);
      decoder->recompute_layers(recompute);
      decoder->hidden(some_ids(2, 9)).square().sum().backward();
      gradients.emplace_back();
      for (const auto& item : decoder->named_parameters())
        if (item.value().grad().defined()) gradients.back()[item.key()] = item.value().grad();
    }
    CHECK(gradients[0].size() == gradients[1].size());
    for (const auto& [name, gradient] : gradients[0]) CHECK(torch::equal(gradient, gradients[1].at(name)));
    const auto& shared = gradients[0].at(
        "model.layers." + std::string(variant_name(variant) == "cla" ? "0" : "2") + ".self_attn.v_proj.weight");
    CHECK(shared.abs().max().item<double>() > 0);
  }
}

TEST_CASE("a layer that reads another's keys needs one that leaves them") {
  ModelForm form(many_layers(4), Gqa::Config{});
  form.layers[1] = Cla::Config{};
  CHECK_THROWS_WITH(Decoder(form),
                    ContainsSubstring("layer 1: found cla, which reads keys and values of layer 0") &&
                        ContainsSubstring("gqa there"));
  AttentionShape windowed{.d_model = 8, .n_heads = 2, .n_kv_heads = 1, .head_dim = 4, .window = 3};
  CHECK_THAT(describe(*variant_problem(windowed, Cla::Config{})),
             ContainsSubstring("a base with a sliding window"));
  AttentionShape shape{.d_model = 8, .n_heads = 2, .n_kv_heads = 1, .head_dim = 4};
  shape.n_layers = 4;
  for (const std::vector<int64_t>& own : {std::vector<int64_t>{1, 2}, {0, 2, 2}, {0, 4}})
    CHECK_THAT(describe(*variant_problem(shape, Cla::Config{.own_layers = own})),
               ContainsSubstring("own_layers"));
}

}  // namespace
}  // namespace attnlab
