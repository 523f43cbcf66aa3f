// Masked models, and the smaller ones that masks leave.
#include "model/cut_model.h"

#include "catch.h"
#include "small_decoder.h"

namespace attnlab::test {
namespace {

DecoderConfig grouped_config() {
  DecoderConfig config = small_config();
  config.family = Family::llama;
  config.n_layers = 4;
  config.n_kv_heads = 3;
  config.qkv_bias = config.o_bias = config.mlp_bias = true;
  return config;
}

TensorMap biased(const DecoderConfig& config) {
  TensorMap weights = lively_weights(config);
  torch::manual_seed(4);
  for (auto& [name, tensor] : weights) {
    if (name.ends_with(".bias")) tensor = 0.3 * torch::randn(tensor.sizes());
    if (name.ends_with("norm.weight")) tensor = 1 + 0.2 * torch::randn(tensor.sizes());
  }
  return weights;
}

// Layer 1 goes, head 1 of the KV heads, six columns and five numbers of the stream.
ModelMasks some_masks(const DecoderConfig& config, bool soft) {
  torch::manual_seed(5);
  const auto scales = [&](int64_t n) { return soft ? torch::rand({n}) * 0.5 + 0.5 : torch::ones({n}); };
  ModelMasks masks{.hidden_D = torch::ones({config.d_model}), .layers = {}};
  masks.hidden_D.index_fill_(0, torch::tensor({0, 3, 4, 11, 19}), 0);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    auto heads = scales(config.n_kv_heads);
    heads[(i + 1) % config.n_kv_heads] = 0;
    auto columns = scales(config.d_ff);
    columns.slice(0, i, i + 6).zero_();
    const auto block = i == 1 ? torch::zeros({}) : scales(1)[0];
    masks.layers.push_back({.heads_N = heads.repeat_interleave(config.n_heads / config.n_kv_heads),
                            .columns_I = columns,
                            .attention = block,
                            .mlp = i == 2 ? torch::zeros({}) : block});
  }
  return masks;
}

torch::Tensor cut_logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(random_ids(2, 11, decoder.config().vocab_size)));
}

TEST_CASE(
    "the cut model computes what the masked one does, with masks of heads and columns between 0 and 1, too") {
  for (const bool tied : {false, true})
    for (const bool soft : {false, true}) {
      DecoderConfig config = grouped_config();
      config.tie_embeddings = tied;
      const TensorMap weights = biased(config);
      const ModelMasks masks = some_masks(config, soft);
      Decoder masked(native_form(config));
      load_weights(masked, weights);
      const auto whole = cut_logits(masked);
      masked.set_masks(masks);
      const auto expected = cut_logits(masked);
      CHECK((expected - whole).abs().max().item<double>() > 0.1);
      const auto cut = cut_model(config, weights, masks);
      CHECK(cut.config.d_model == config.d_model - 5);
      CHECK(cut.config.n_layers == 3);
      CHECK(cut.config.n_kv_heads == 2);
      CHECK(cut.config.n_heads == 4);
      CHECK(cut.config.head_dim == config.head_dim);
      CHECK(cut.config.d_ff == config.d_ff - 6);
      Decoder smaller(native_form(cut.config));
      REQUIRE(smaller.named_parameters().size() == cut.weights.size());
      load_weights(smaller, cut.weights);
      // Sums of some twenty products of size 1 through three layers, in another order.
      CHECK((cut_logits(smaller) - expected).abs().max().item<double>() < 2e-5);
      masked.set_masks({});
      CHECK(torch::equal(cut_logits(masked), whole));
    }
}

TEST_CASE("gradients reach the masks as small differences say") {
  const DecoderConfig config = grouped_config();
  Decoder decoder(native_form(config));
  load_weights(decoder, biased(config));
  decoder.to(torch::kFloat64);
  const auto ids = random_ids(1, 7, config.vocab_size);
  const auto of = [&](const ModelMasks& masks) {
    decoder.set_masks(masks);
    return decoder.logits(decoder.hidden(ids)).square().mean();
  };
  const auto with = [&](const torch::Tensor& heads, const torch::Tensor& hidden) {
    ModelMasks masks{.hidden_D = hidden, .layers = std::vector<LayerMasks>(4)};
    masks.layers[2].heads_N = heads;
    return masks;
  };
  const auto heads = torch::rand({6}, torch::kFloat64) * 0.5 + 0.4,
             hidden = torch::rand({20}, torch::kFloat64) + 0.5;
  auto heads_leaf = heads.clone().requires_grad_(), hidden_leaf = hidden.clone().requires_grad_();
  of(with(heads_leaf, hidden_leaf)).backward();
  constexpr double h = 1e-6;
  const torch::NoGradGuard no_grad;
  for (const int64_t i : {0, 5}) {
    const auto step = torch::zeros({6}, torch::kFloat64).index_fill(0, torch::tensor({i}), h);
    const double slope =
        (of(with(heads + step, hidden)) - of(with(heads - step, hidden))).item<double>() / (2 * h);
    CHECK(heads_leaf.grad()[i].item<double>() == Approx(slope).epsilon(1e-4).margin(1e-7));
  }
  for (const int64_t i : {1, 17}) {
    const auto step = torch::zeros({20}, torch::kFloat64).index_fill(0, torch::tensor({i}), h);
    const double slope =
        (of(with(heads, hidden + step)) - of(with(heads, hidden - step))).item<double>() / (2 * h);
    CHECK(hidden_leaf.grad()[i].item<double>() == Approx(slope).epsilon(1e-4).margin(1e-7));
  }
}

std::string cut_refusal(const DecoderConfig& config, const std::function<void(ModelMasks&)>& change) {
  ModelMasks masks = some_masks(config, false);
  change(masks);
  try {
    cut_model(config, biased(config), masks);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("masks that leave no shape of the family are refused") {
  const DecoderConfig config = grouped_config();
  CHECK(cut_refusal(config, [](ModelMasks&) {}) == "accepted");
  CHECK_THAT(cut_refusal(config, [](ModelMasks& m) { m.layers[3].columns_I[20] = 0; }),
             ContainsSubstring("masks: found 4 heads and 21 columns in layer 3, 4 and 22 in layer 0"));
  CHECK_THAT(cut_refusal(config, [](ModelMasks& m) { m.layers[0].heads_N[0] = 0; }),
             ContainsSubstring("query heads of one KV head with other masks in layer 0"));
  CHECK_THAT(cut_refusal(config, [](ModelMasks& m) { m.hidden_D.zero_(); }),
             ContainsSubstring("no number of the stream"));
  CHECK_THAT(cut_refusal(config, [](ModelMasks& m) { m.layers[0].heads_N.zero_(); }),
             ContainsSubstring("no head"));
  CHECK_THAT(cut_refusal(config,
                         [](ModelMasks& m) {
                           for (auto& layer : m.layers) layer.attention = layer.mlp = torch::zeros({});
                         }),
             ContainsSubstring("no layer"));
  DecoderConfig tied = config;
  tied.tie_embeddings = true;
  CHECK_THAT(cut_refusal(tied, [](ModelMasks& m) { m.hidden_D[1] = 0.5; }),
             ContainsSubstring("between 0 and 1 beside a tied output matrix"));
}

}  // namespace
}  // namespace attnlab::test
