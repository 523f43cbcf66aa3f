#include "convert/layer_stream.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "model/masks.h"

namespace attnlab {
namespace {

// y = W x + b for x [P, D], in the weights' format.
torch::Tensor outputs(const torch::Tensor& x_PD, const torch::Tensor& weight, const torch::Tensor& bias) {
  if (!weight.defined()) return x_PD;
  const auto as_input = [&](const torch::Tensor& t) { return t.defined() ? t.to(x_PD.options()) : t; };
  return torch::linear(x_PD, as_input(weight), as_input(bias));
}

}  // namespace

int64_t TokenBatches::tokens() const {
  int64_t total = 0;
  for (const auto& ids : ids_BT) total += ids.numel();
  return total;
}

TokenBatches TokenBatches::to(torch::Device device) const {
  TokenBatches moved;
  for (const auto& ids : ids_BT) moved.ids_BT.push_back(ids.to(device));
  return moved;
}

TokenBatches make_batches(const torch::Tensor& ids_NT) {
  constexpr int64_t together = 2048;
  const int64_t rows = std::max<int64_t>(1, together / std::max<int64_t>(1, ids_NT.size(1)));
  TokenBatches batches;
  for (int64_t first = 0; first < ids_NT.size(0); first += rows)
    batches.ids_BT.push_back(ids_NT.slice(0, first, first + rows).contiguous());
  return batches;
}

std::shared_ptr<DecoderLayer> make_layer(const DecoderForm& form, int64_t layer, const TensorMap& tensors) {
  const auto module = std::make_shared<DecoderLayer>(form.config, form.variant, layer);
  for (auto& parameter : module->named_parameters()) {
    const auto found = tensors.find(parameter.key());
    ATTNLAB_CHECK(found != tensors.end() && found->second.sizes() == parameter.value().sizes());
    parameter.value().requires_grad_(false);
    parameter.value().set_data(found->second);
  }
  module->eval();
  return module;
}

LayerStream::LayerStream(const DecoderForm& form, const TokenBatches& tokens, const torch::Tensor& embedding,
                         torch::Device device) {
  const double scale =
      traits_of(form.config.family).scaled_embedding ? std::sqrt(static_cast<double>(form.config.d_model)) : 1;
  for (const auto& ids : tokens.ids_BT) {
    const auto rows = torch::embedding(embedding, ids.to(embedding.device())).to(device, torch::kFloat32);
    states_.push_back(scale == 1 ? rows : rows * scale);
  }
  *this = branch(form);
}

LayerStream LayerStream::branch(const DecoderForm& form) const {
  LayerStream other;
  const DecoderConfig& config = form.config;
  other.form_ = form;
  other.rotary_ = std::make_shared<const Rotary>(
      variant_turning_dim(config.attention_shape(), form.variant, config.turning_dim()), config.rope_theta,
      config.rope_scaling);
  other.states_ = states_;
  return other;
}

void LayerStream::set_states(std::vector<torch::Tensor> states) {
  ATTNLAB_CHECK(states.size() == states_.size());
  states_ = std::move(states);
}

void LayerStream::advance(int64_t layer, const TensorMap& tensors, Precision precision) {
  const torch::NoGradGuard no_grad;
  const auto module = make_layer(form_, layer, tensors);
  RotaryTables tables;
  LayerMasks masks;
  int64_t T = -1;  // that tables and masks are for
  const PrecisionScope scope(precision, states_.empty() ? torch::Device(torch::kCPU) : states_[0].device());
  for (auto& state : states_) {
    if (state.size(1) != T) {
      T = state.size(1);
      const auto options = torch::dtype(torch::kInt64).device(state.device());
      tables = rotary_->tables(torch::arange(T, options).unsqueeze(0), torch::full({1}, T, options),
                               torch::kFloat32);
      masks = make_masks({}, T, T, form_.config.window, state.device());
    }
    const bool windowed = form_.config.has_window(layer);
    state = module->forward(state, {.x_BTD = {},
                                    .cos_BSH = tables.cos_BTH,
                                    .sin_BSH = tables.sin_BTH,
                                    .mask_B1TS = windowed ? masks.window_B1TS : masks.full_B1TS});
  }
}

int64_t CalibrationInputs::tokens() const {
  int64_t total = 0;
  for (const auto& state : stream_.states()) total += state.size(0) * state.size(1);
  return total;
}

torch::Tensor CalibrationInputs::normed(const torch::Tensor& state_BTD) const {
  const auto& config = stream_.form().config;
  const auto weight = traits_of(config.family).norm_plus_one ? norm_ + 1 : norm_;
  return at::rms_norm(state_BTD, norm_.sizes(), weight, config.norm_eps);
}

torch::Tensor CalibrationInputs::second_moment(const torch::Tensor& weight, const torch::Tensor& bias) const {
  torch::Tensor moment;
  visit([&](const torch::Tensor& x_PD) {
    const auto y = outputs(x_PD, weight, bias).to(torch::kFloat64);
    if (!moment.defined()) moment = torch::zeros({y.size(1), y.size(1)}, y.options());
    moment.addmm_(y.t(), y);
  });
  return moment;
}

double CalibrationInputs::mean_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) const {
  torch::Tensor sum;
  visit([&](const torch::Tensor& x_PD) {
    const auto mean_square = outputs(x_PD, weight, bias).to(torch::kFloat64).square().mean(1);
    const auto part =
        (inverse ? (mean_square + stream_.form().config.norm_eps).rsqrt() : mean_square.sqrt()).sum();
    sum = sum.defined() ? sum + part : part;
  });
  return sum.item<double>() / static_cast<double>(tokens());
}

}  // namespace attnlab
