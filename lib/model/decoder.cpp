#include "model/decoder.h"

#include <ATen/autocast_mode.h>

#include <cmath>

#include "model/recompute.h"

namespace attnlab {
namespace {

// A module that only holds one parameter called "weight", so that names nest as in Hugging Face's files.
torch::Tensor weight_under(torch::nn::Module& parent, const std::string& name, torch::IntArrayRef shape) {
  struct Holder : torch::nn::Module {};
  const auto holder = parent.register_module(name, std::make_shared<Holder>());
  return holder->register_parameter("weight", empty_parameter(shape));
}

}  // namespace

VariantConfig native_variant(const DecoderConfig& config) {
  if (config.mla) return DeepseekMla::Config{};
  return Gqa::Config{};
}

DecoderLayer::DecoderLayer(const DecoderConfig& config, const VariantConfig& variant, int64_t index)
    : attention_(make_attention(config.attention_shape(index), variant)) {
  const FamilyTraits& traits = traits_of(config.family);
  const auto norm = [&](const char* name) {
    return register_module(name, RmsNorm(config.d_model, config.norm_eps, traits.norm_plus_one));
  };
  attention_norm_ = norm("input_layernorm");
  register_module("self_attn", attention_);
  if (traits.sandwich_norms) {
    after_attention_ = norm("post_attention_layernorm");
    mlp_norm_ = norm("pre_feedforward_layernorm");
    after_mlp_ = norm("post_feedforward_layernorm");
  } else {
    mlp_norm_ = norm("post_attention_layernorm");
  }
  mlp_ = register_mlp(*this, config);
}

torch::Tensor DecoderLayer::forward(torch::Tensor x_BTD, AttentionInput input) {
  input.x_BTD = attention_norm_(x_BTD);
  const auto attended_BTD = attention_->forward(input);
  x_BTD = x_BTD + (after_attention_ ? after_attention_(attended_BTD) : attended_BTD);
  const auto mlp_BTD = mlp_->forward(mlp_norm_(x_BTD));
  return x_BTD + (after_mlp_ ? after_mlp_(mlp_BTD) : mlp_BTD);
}

Decoder::Decoder(const DecoderConfig& config, const VariantConfig& variant)
    : config_(config),
      variant_(variant),
      rotary_(variant_turning_dim(config.attention_shape(), variant, config.turning_dim()), config.rope_theta,
              config.rope_scaling) {
  const auto model = register_module("model", std::make_shared<torch::nn::Module>());
  embedding_ = weight_under(*model, "embed_tokens", {config.vocab_size, config.d_model});
  const auto list = model->register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.n_layers; ++i) {
    layers_.push_back(std::make_shared<DecoderLayer>(config, variant, i));
    list->push_back(layers_.back());
  }
  final_norm_ = model->register_module(
      "norm", RmsNorm(config.d_model, config.norm_eps, traits_of(config.family).norm_plus_one));
  if (!config.tie_embeddings) lm_head_ = weight_under(*this, "lm_head", {config.vocab_size, config.d_model});
}

torch::Tensor Decoder::hidden(const torch::Tensor& ids_BT, const DecoderContext& context) {
  const int64_t T = ids_BT.size(1);
  const RotaryTables rotary = context.rotary.cos_BTH.defined() ? context.rotary : rotary_from_zero(T);
  const auto masks = make_masks(context.mask_B1TS, T, rotary.cos_BTH.size(1), config_.window, device());
  auto x_BTD = torch::embedding(embedding_, ids_BT);
  // The factor is rounded to the weights' format, as in Hugging Face's Gemma.
  if (traits_of(config_.family).scaled_embedding)
    x_BTD = x_BTD * torch::full({}, std::sqrt(static_cast<double>(config_.d_model)), x_BTD.options());
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool windowed = config_.has_window(static_cast<int64_t>(i));
    const AttentionInput input{.x_BTD = {},
                               .cos_BSH = rotary.cos_BTH,
                               .sin_BSH = rotary.sin_BTH,
                               .mask_B1TS = windowed ? masks.window_B1TS : masks.full_B1TS,
                               .cache = context.caches ? &context.caches->at(i) : nullptr};
    x_BTD = recompute_ && !input.cache ? forward_recomputed(layers_[i], x_BTD, input)
                                       : layers_[i]->forward(x_BTD, input);
  }
  return final_norm_(x_BTD);
}

torch::Tensor Decoder::logits(const torch::Tensor& hidden) const {
  const auto logits = torch::linear(hidden, output_weight());
  if (config_.final_softcap <= 0) return logits;
  return config_.final_softcap * torch::tanh(logits / config_.final_softcap);
}

RotaryTables Decoder::rotary_at(const torch::Tensor& positions_BT, const torch::Tensor& lengths) const {
  return rotary_.tables(positions_BT, lengths, embedding_.scalar_type());
}

RotaryTables Decoder::rotary_from_zero(int64_t T) {
  RotaryTables& tables = kept_tables_[rotary_.is_long(T)];
  const bool kept = tables.cos_BTH.defined() && tables.cos_BTH.size(1) >= T &&
                    tables.cos_BTH.device() == device() &&
                    tables.cos_BTH.scalar_type() == embedding_.scalar_type();
  const auto options = torch::dtype(torch::kInt64).device(device());
  if (!kept) tables = rotary_at(torch::arange(T, options).unsqueeze(0), torch::full({1}, T, options));
  return {tables.cos_BTH.narrow(1, 0, T), tables.sin_BTH.narrow(1, 0, T)};
}

std::vector<torch::Tensor> Decoder::kept_tables() const {
  std::vector<torch::Tensor> tensors;
  for (const auto& tables : kept_tables_)
    for (const auto& tensor : {tables.cos_BTH, tables.sin_BTH})
      if (tensor.defined()) tensors.push_back(tensor);
  return tensors;
}

std::vector<LayerCache> Decoder::make_caches(int64_t B, int64_t capacity) const {
  auto options = embedding_.options().requires_grad(false);
  if (at::autocast::is_autocast_enabled(device().type()))
    options = options.dtype(at::autocast::get_autocast_dtype(device().type()));
  std::vector<LayerCache> caches;
  for (const auto& layer : layers_)
    caches.emplace_back(layer->attention()->cache_layout(), B, capacity, options,
                        layer->attention()->shape().window);
  return caches;
}

int64_t Decoder::cached_numbers_per_token() const {
  int64_t total = 0;
  for (const auto& layer : layers_) total += cached_numbers(layer->attention()->cache_layout());
  return total;
}

double Decoder::forward_flops_per_token(int64_t T) const {
  double flops = 2.0 * static_cast<double>(config_.vocab_size * config_.d_model);
  for (const auto& layer : layers_)
    flops += layer->attention()->forward_flops_per_token(T) + layer->mlp().forward_flops_per_token();
  return flops;
}

}  // namespace attnlab
