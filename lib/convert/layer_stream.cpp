#include "convert/layer_stream.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "attention/linear.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// y = W x + b for x [P, D], in the weights' format.
torch::Tensor outputs(const torch::Tensor& x_PD, const torch::Tensor& weight, const torch::Tensor& bias) {
  if (!weight.defined()) return x_PD;
  const auto as_input = [&](const torch::Tensor& t) { return t.defined() ? t.to(x_PD.options()) : t; };
  return torch::linear(x_PD, as_input(weight), as_input(bias));
}

// Tokens that the layer's mixer sees; 0: all.
int64_t window_of(const ModelForm& form, int64_t layer) {
  const ShapesOnly no_memory;
  return make_mixer(form.attention_shape(layer), form.of(layer))->shape().window;
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
  for (const auto& valid : valid_BT) moved.valid_BT.push_back(valid.to(device));
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

std::shared_ptr<DecoderLayer> load_layer(const ModelForm& form, int64_t layer, const TensorMap& tensors) {
  auto module = make_layer(form, layer);
  ATTNLAB_CHECK(module->named_parameters().size() == tensors.size());
  for (auto& parameter : module->named_parameters()) {
    const auto found = tensors.find(parameter.key());
    ATTNLAB_CHECK(found != tensors.end() && found->second.sizes() == parameter.value().sizes());
    parameter.value().requires_grad_(false);
    parameter.value().set_data(found->second);
  }
  module->eval();
  return module;
}

LayerStream::LayerStream(const ModelForm& form, const TokenBatches& tokens, const torch::Tensor& embedding,
                         torch::Device device) {
  const double scale =
      traits_of(form.config.family).scaled_embedding ? std::sqrt(static_cast<double>(form.config.d_model)) : 1;
  for (const auto& ids : tokens.ids_BT) {
    const auto rows = torch::embedding(embedding, ids.to(embedding.device())).to(device, torch::kFloat32);
    states_.push_back(scale == 1 ? rows : rows * scale);
  }
  valid_ = tokens.valid_BT;
  *this = branch(form);
}

LayerStream LayerStream::branch(const ModelForm& form) const {
  LayerStream other;
  other.form_ = form;
  other.states_ = states_;
  other.valid_ = valid_;
  other.boards_ = boards_;
  return other;
}

LayerStream LayerStream::first_rows(int64_t rows) const {
  LayerStream other = branch(form_);
  other.states_.resize(std::min<size_t>(other.states_.size(), 1));
  for (auto& state : other.states_) state = state.narrow(0, 0, std::min(rows, state.size(0)));
  return other;
}

void LayerStream::set_states(std::vector<torch::Tensor> states) {
  ATTNLAB_CHECK(states.size() == states_.size());
  states_ = std::move(states);
}

void LayerStream::each(int64_t layer, Precision precision, const VisitInput& visit) const {
  const Rotary rotary = layer_rotary(form_, layer);
  std::shared_ptr<const Sequence> sequence;
  boards_.resize(states_.size());
  const int64_t window = window_of(form_, layer);
  const PrecisionScope scope(precision, states_.empty() ? torch::Device(torch::kCPU) : states_[0].device());
  for (size_t i = 0; i < states_.size(); ++i) {
    const int64_t T = states_[i].size(1);
    if (!sequence || sequence->T() != T) {
      const auto options = torch::dtype(torch::kInt64).device(states_[i].device());
      SequenceParts parts{.T = T, .device = states_[i].device()};
      if (window > 0) parts.windows.push_back(window);
      parts.rotary.push_back(
          rotary.tables(torch::arange(T, options).unsqueeze(0), torch::full({1}, T, options), torch::kFloat32));
      sequence = std::make_shared<const Sequence>(std::move(parts));
    }
    visit(i, {.x_BTD = {}, .sequence = sequence, .board = &boards_[i]});
  }
}

void LayerStream::run(DecoderLayer& module, int64_t layer, Precision precision, const Visit& visit) const {
  each(layer, precision,
       [&](size_t i, const MixerInput& input) { visit(i, module.forward(states_[i], input)); });
}

void LayerStream::advance(int64_t layer, const TensorMap& tensors, Precision precision) {
  const torch::NoGradGuard no_grad;
  run(*load_layer(form_, layer, tensors), layer, precision,
      [&](size_t i, const torch::Tensor& out_BTD) { states_[i] = out_BTD; });
}

CalibrationInputs::CalibrationInputs(const LayerStream& stream, int64_t layer, TensorMap tensors)
    : stream_(stream), layer_(layer), tensors_(std::move(tensors)) {}

int64_t CalibrationInputs::tokens() const {
  int64_t total = 0;
  for (const auto& state : stream_.states()) total += state.size(0) * state.size(1);
  return total;
}

torch::Tensor CalibrationInputs::normed(const torch::Tensor& state_BTD) const {
  const auto& config = stream_.form().config;
  const auto& norm = tensors_.at("input_layernorm.weight");
  const auto weight = traits_of(config.family).norm_plus_one ? norm + 1 : norm;
  return at::rms_norm(state_BTD, norm.sizes(), weight, stream_.form().stream_eps(norm.numel()));
}

void CalibrationInputs::visit_matrix(const std::string& matrix,
                                     const std::function<void(const torch::Tensor&)>& see) const {
  const torch::NoGradGuard no_grad;
  const auto module = load_layer(stream_.form(), layer_, tensors_);
  const auto modules = module->named_modules("", /*include_self=*/false);
  const auto* found = modules.find(matrix);
  ATTNLAB_CHECK(found);
  const LinearTap tap([&](const LinearImpl& linear, const torch::Tensor& x) {
    if (&linear == found->get()) see(x.flatten(0, -2));
  });
  stream_.run(*module, layer_, Precision::float32, [](size_t, const torch::Tensor&) {});
}

namespace {

void add_moment(torch::Tensor& moment, const torch::Tensor& input) {
  const auto x_PX = input.flatten(0, -2).to(torch::kFloat64);
  if (!moment.defined()) moment = torch::zeros({x_PX.size(1), x_PX.size(1)}, x_PX.options());
  moment.addmm_(x_PX.t(), x_PX);
}

bool same_input(const torch::Tensor& a, const torch::Tensor& b) {
  return a.data_ptr() == b.data_ptr() && a.sizes() == b.sizes();
}

// "mlp.experts.7.up_proj" → "mlp.experts.*.up_proj".
std::string kind_of(const std::string& matrix) {
  std::string kind;
  for (const char c : matrix) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && (kind.ends_with('.') || kind.ends_with('*')))
      kind = kind.ends_with('*') ? kind : kind + '*';
    else
      kind += c;
  }
  return kind;
}

}  // namespace

torch::Tensor CalibrationInputs::input_moment(const std::string& matrix) const {
  torch::Tensor moment;
  visit_matrix(matrix, [&](const torch::Tensor& x_PX) { add_moment(moment, x_PX); });
  return moment;
}

TensorMap CalibrationInputs::input_moments(const std::vector<std::string>& matrices) const {
  const torch::NoGradGuard no_grad;
  const auto module = load_layer(stream_.form(), layer_, tensors_);
  std::map<const LinearImpl*, std::string> wanted;
  for (const auto& [name, linear] : linears_of(*module))
    if (std::find(matrices.begin(), matrices.end(), name) != matrices.end()) wanted[linear.get()] = name;
  TensorMap moments;
  std::map<std::string, std::string> shares;  // a matrix → the first one that reads the same
  // Inputs of one run of a batch, held so that no other can take their place in memory.
  std::vector<std::pair<std::string, torch::Tensor>> heard;
  const LinearTap tap([&](const LinearImpl& linear, const torch::Tensor& x) {
    const auto found = wanted.find(&linear);
    if (found == wanted.end()) return;
    for (const auto& [name, input] : heard)
      if (same_input(input, x)) {
        shares.emplace(found->second, name);
        return;
      }
    heard.emplace_back(found->second, x);
    add_moment(moments[found->second], x);
  });
  stream_.run(*module, layer_, Precision::float32, [&](size_t, const torch::Tensor&) { heard.clear(); });
  for (const auto& [name, first] : shares) moments[name] = moments.at(first);
  return moments;
}

std::vector<std::vector<std::string>> CalibrationInputs::matrix_groups() const {
  const torch::NoGradGuard no_grad;
  const auto module = load_layer(stream_.form(), layer_, tensors_);
  const auto linears = linears_of(*module);
  std::vector<std::pair<torch::Tensor, std::vector<std::string>>> kinds;  // by input, in order
  std::set<std::string> seen;
  const LinearTap tap([&](const LinearImpl& linear, const torch::Tensor& x) {
    const auto found =
        std::find_if(linears.begin(), linears.end(), [&](const auto& l) { return l.second.get() == &linear; });
    if (found == linears.end() || !seen.insert(kind_of(found->first)).second) return;
    const auto group =
        std::find_if(kinds.begin(), kinds.end(), [&](const auto& g) { return same_input(g.first, x); });
    if (group != kinds.end())
      group->second.push_back(kind_of(found->first));
    else
      kinds.push_back({x, {kind_of(found->first)}});
  });
  stream_.first_rows(1).run(*module, layer_, Precision::float32, [](size_t, const torch::Tensor&) {});
  std::vector<std::vector<std::string>> groups;
  std::vector<std::string> rest;
  for (const auto& [input, group] : kinds) {
    groups.emplace_back();
    for (const auto& [name, linear] : linears)
      if (std::find(group.begin(), group.end(), kind_of(name)) != group.end()) groups.back().push_back(name);
  }
  for (const auto& [name, linear] : linears)
    if (!seen.contains(kind_of(name))) rest.push_back(name);
  if (!rest.empty()) groups.push_back(rest);
  return groups;
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
