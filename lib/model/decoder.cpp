#include "model/decoder.h"

#include <ATen/autocast_mode.h>

namespace attnlab {
namespace {

torch::nn::Linear linear(int64_t in, int64_t out) {
  return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(false));
}

// x / rms(x) · weight (arXiv 1910.07467).
torch::Tensor rms_norm(const torch::Tensor& x_BTD, const torch::Tensor& weight_D, double eps) {
  return at::rms_norm(x_BTD, weight_D.sizes(), weight_D, eps);
}

// A module that only holds one parameter called "weight", so that names nest as in Hugging Face's files.
torch::Tensor weight_under(torch::nn::Module& parent, const std::string& name, torch::IntArrayRef shape) {
  struct Holder : torch::nn::Module {};
  const auto holder = parent.register_module(name, std::make_shared<Holder>());
  return holder->register_parameter("weight", torch::empty(shape));
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderConfig& config, const VariantConfig& variant)
    : norm_eps_(config.norm_eps), attention_(make_attention(config.attention_shape(), variant)) {
  input_norm_ = weight_under(*this, "input_layernorm", {config.d_model});
  register_module("self_attn", attention_);
  post_norm_ = weight_under(*this, "post_attention_layernorm", {config.d_model});
  const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>());
  gate_proj_ = mlp->register_module("gate_proj", linear(config.d_model, config.d_ff));
  up_proj_ = mlp->register_module("up_proj", linear(config.d_model, config.d_ff));
  down_proj_ = mlp->register_module("down_proj", linear(config.d_ff, config.d_model));
}

torch::Tensor DecoderLayer::forward(torch::Tensor x_BTD, AttentionInput input) {
  input.x_BTD = rms_norm(x_BTD, input_norm_, norm_eps_);
  x_BTD = x_BTD + attention_->forward(input);
  const auto normed_BTD = rms_norm(x_BTD, post_norm_, norm_eps_);
  return x_BTD + down_proj_(torch::silu(gate_proj_(normed_BTD)) * up_proj_(normed_BTD));
}

Decoder::Decoder(const DecoderConfig& config, const VariantConfig& variant)
    : config_(config), variant_(variant) {
  const auto model = register_module("model", std::make_shared<torch::nn::Module>());
  embedding_ = weight_under(*model, "embed_tokens", {config.vocab_size, config.d_model});
  const auto list = model->register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.n_layers; ++i) {
    layers_.push_back(std::make_shared<DecoderLayer>(config, variant));
    list->push_back(layers_.back());
  }
  final_norm_ = weight_under(*model, "norm", {config.d_model});
  if (!config.tie_embeddings) lm_head_ = weight_under(*this, "lm_head", {config.vocab_size, config.d_model});
}

torch::Tensor Decoder::hidden(const torch::Tensor& ids_BT, const DecoderContext& context) {
  const RotaryTables rotary =
      context.rotary.cos_BTH.defined() ? context.rotary : rotary_from_zero(ids_BT.size(1));
  auto x_BTD = torch::embedding(embedding_, ids_BT);
  for (size_t i = 0; i < layers_.size(); ++i)
    x_BTD = layers_[i]->forward(x_BTD, {.x_BTD = {},
                                        .cos_BSH = rotary.cos_BTH,
                                        .sin_BSH = rotary.sin_BTH,
                                        .mask_B1TS = context.mask_B1TS,
                                        .cache = context.caches ? &context.caches->at(i) : nullptr});
  return rms_norm(x_BTD, final_norm_, config_.norm_eps);
}

torch::Tensor Decoder::logits(const torch::Tensor& hidden) const {
  return torch::linear(hidden, config_.tie_embeddings ? embedding_ : lm_head_);
}

RotaryTables Decoder::rotary_at(const torch::Tensor& positions_BT) const {
  return rotary_tables(positions_BT, config_.head_dim, config_.rope_theta, embedding_.scalar_type());
}

RotaryTables Decoder::rotary_from_zero(int64_t T) {
  const bool kept = rotary_.cos_BTH.defined() && rotary_.cos_BTH.size(1) >= T &&
                    rotary_.cos_BTH.device() == device() &&
                    rotary_.cos_BTH.scalar_type() == embedding_.scalar_type();
  if (!kept) rotary_ = rotary_at(torch::arange(T, torch::dtype(torch::kInt64).device(device())).unsqueeze(0));
  return {rotary_.cos_BTH.narrow(1, 0, T), rotary_.sin_BTH.narrow(1, 0, T)};
}

std::vector<LayerCache> Decoder::make_caches(int64_t B, int64_t capacity) const {
  auto options = embedding_.options().requires_grad(false);
  if (at::autocast::is_autocast_enabled(device().type()))
    options = options.dtype(at::autocast::get_autocast_dtype(device().type()));
  std::vector<LayerCache> caches;
  for (const auto& layer : layers_)
    caches.emplace_back(layer->attention()->cache_layout(), B, capacity, options);
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
    flops += layer->attention()->forward_flops_per_token(T) +
             6.0 * static_cast<double>(config_.d_model * config_.d_ff);
  return flops;
}

}  // namespace attnlab
