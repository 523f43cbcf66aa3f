#include "convert/layer_stream.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "attention/linear.h"
#include "attention/side_by_side.h"
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

void prepare_products(DecoderLayer& layer, Precision precision) {
  if (precision == Precision::float32) return;
  for (const auto& [name, linear] : linears_of(layer))
    if (!linear->is_packed()) linear->weight.set_data(linear->weight.to(torch::kBFloat16));
  lay_side_by_side(layer);
}

LayerCopies::LayerCopies(const Devices& devices, const TensorMap& tensors, const Make& make) {
  for (size_t device = 0; device < devices.size(); ++device)
    copies_.push_back(make(moved(tensors, devices.at(device))));
}

LayerStream::LayerStream(const ModelForm& form, const TokenBatches& tokens, const torch::Tensor& embedding,
                         const Devices& devices)
    : form_(form), devices_(devices) {
  const double scale =
      traits_of(form.config.family).scaled_embedding ? std::sqrt(static_cast<double>(form.config.d_model)) : 1;
  for (const auto& ids : tokens.ids_BT) {
    const auto rows =
        torch::embedding(embedding, ids.to(embedding.device())).to(devices.of(states_.size()), torch::kFloat32);
    states_.push_back(scale == 1 ? rows : rows * scale);
  }
  for (const auto& valid : tokens.valid_BT) valid_.push_back(valid.to(devices.of(valid_.size())));
}

LayerStream LayerStream::branch(const ModelForm& form) const {
  LayerStream other = *this;
  other.form_ = form;
  return other;
}

LayerStream LayerStream::first_rows(int64_t rows) const {
  LayerStream other = branch(form_);
  other.states_.resize(std::min<size_t>(other.states_.size(), 1));
  for (auto& state : other.states_) state = state.narrow(0, 0, std::min(rows, state.size(0)));
  return other;
}

void LayerStream::set_states(const std::vector<torch::Tensor>& states) {
  ATTNLAB_CHECK(states.size() == states_.size());
  for (size_t i = 0; i < states.size(); ++i) states_[i] = states[i].to(devices_.of(i));
}

LayerCopies LayerStream::load(int64_t layer, const TensorMap& tensors) const {
  return {devices_, tensors, [&](const TensorMap& there) { return load_layer(form_, layer, there); }};
}

namespace {

// What batches share beside their states: rotary tables and masks of a layer, made on each device for rows of T
// tokens.
class LayerInputs {
 public:
  LayerInputs(const ModelForm& form, int64_t layer, size_t devices)
      : window_(window_of(form, layer)), there_(devices, {layer_rotary(form, layer), nullptr}) {}

  MixerInput of(size_t device, const torch::Tensor& state_BTD, KvBoard& board) {
    auto& [rotary, sequence] = there_[device];
    const int64_t T = state_BTD.size(1);
    if (!sequence || sequence->T() != T) sequence = make(rotary, T, state_BTD.device());
    return {.x_BTD = {}, .sequence = sequence, .board = &board};
  }

 private:
  std::shared_ptr<const Sequence> make(const Rotary& rotary, int64_t T, torch::Device device) const {
    const auto options = torch::dtype(torch::kInt64).device(device);
    SequenceParts parts{.T = T, .device = device};
    if (window_ > 0) parts.windows.push_back(window_);
    parts.rotary.push_back(
        rotary.tables(torch::arange(T, options).unsqueeze(0), torch::full({1}, T, options), torch::kFloat32));
    return std::make_shared<const Sequence>(std::move(parts));
  }

  struct There {
    Rotary rotary;  // its frequencies move to the device that asks
    std::shared_ptr<const Sequence> sequence;
  };
  int64_t window_;
  std::vector<There> there_;  // by device
};

}  // namespace

void LayerStream::each(int64_t layer, Precision precision, const VisitInput& visit) const {
  boards_.resize(states_.size());
  LayerInputs inputs(form_, layer, devices_.size());
  devices_.each_batch(states_.size(), [&](size_t i) {
    const PrecisionScope scope(precision, devices_.of(i));
    visit(i, inputs.of(devices_.index_of(i), states_[i], boards_[i]));
  });
}

TensorMap LayerStream::sum(int64_t layer, Precision precision, const VisitPart& visit) const {
  boards_.resize(states_.size());
  LayerInputs inputs(form_, layer, devices_.size());
  return sum_in_order(devices_, states_.size(), [&](size_t i, const AddPart& add) {
    const PrecisionScope scope(precision, devices_.of(i));
    visit(i, inputs.of(devices_.index_of(i), states_[i], boards_[i]), add);
  });
}

void LayerStream::advance(int64_t layer, const TensorMap& tensors, Precision precision) {
  const torch::NoGradGuard no_grad;
  const LayerCopies copies = load(layer, tensors);
  for (size_t device = 0; device < devices_.size(); ++device) prepare_products(copies.of(device), precision);
  each(layer, precision,
       [&](size_t i, const MixerInput& input) { states_[i] = copies.of(i).forward(states_[i], input); });
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
  const auto norm = tensors_.at("input_layernorm.weight").to(state_BTD.device());
  const auto weight = traits_of(config.family).norm_plus_one ? norm + 1 : norm;
  return at::rms_norm(state_BTD, norm.sizes(), weight, stream_.form().stream_eps(norm.numel()));
}

TensorMap CalibrationInputs::sum(const std::function<void(const torch::Tensor&, const AddPart&)>& visit) const {
  return sum_in_order(stream_.devices(), stream_.states().size(), [&](size_t batch, const AddPart& add) {
    visit(normed(stream_.states()[batch]).flatten(0, 1), add);
  });
}

namespace {

torch::Tensor moment_of(const torch::Tensor& input) {
  const auto x_PX = input.flatten(0, -2).to(torch::kFloat64);
  return torch::matmul(x_PX.t(), x_PX);
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

namespace {

// Listens to a layer for moments of the inputs of some matrices.
class MomentsOfInputs {
 public:
  MomentsOfInputs(const DecoderLayer& module, const std::vector<std::string>& matrices) {
    for (const auto& [name, linear] : linears_of(module))
      if (std::find(matrices.begin(), matrices.end(), name) != matrices.end()) wanted_[linear.get()] = name;
    ATTNLAB_CHECK(wanted_.size() == matrices.size());
  }

  // Of one batch, while `forward` runs.
  void hear(const std::function<void()>& forward, const AddPart& add) {
    // Inputs that were heard, held so that no other can take their place in memory.
    std::vector<std::pair<std::string, torch::Tensor>> heard;
    const LinearTap tap([&](const LinearImpl& linear, const torch::Tensor& x) {
      const auto found = wanted_.find(&linear);
      if (found == wanted_.end()) return;
      for (const auto& [name, input] : heard)
        if (same_input(input, x)) {
          shares_.emplace(found->second, name);
          return;
        }
      heard.emplace_back(found->second, x);
      add(found->second, moment_of(x));
    });
    forward();
  }

  // A matrix → the first one that reads the same.
  const std::map<std::string, std::string>& shares() const { return shares_; }

 private:
  std::map<const LinearImpl*, std::string> wanted_;
  std::map<std::string, std::string> shares_;
};

}  // namespace

TensorMap CalibrationInputs::input_moments(const std::vector<std::string>& matrices) const {
  const torch::NoGradGuard no_grad;
  const Devices& devices = stream_.devices();
  const LayerCopies copies = stream_.load(layer_, tensors_);
  std::vector<MomentsOfInputs> listeners;
  for (size_t device = 0; device < devices.size(); ++device)
    listeners.emplace_back(copies.of(device), matrices);
  TensorMap moments =
      stream_.sum(layer_, Precision::float32, [&](size_t i, const MixerInput& input, const AddPart& add) {
        listeners[devices.index_of(i)].hear([&] { copies.of(i).forward(stream_.states()[i], input); }, add);
      });
  for (const auto& listener : listeners)
    for (const auto& [name, first] : listener.shares()) moments[name] = moments.at(first);
  return moments;
}

std::vector<std::vector<std::string>> CalibrationInputs::matrix_groups() const {
  const torch::NoGradGuard no_grad;
  const LayerStream text = stream_.first_rows(1);
  const LayerCopies copies = text.load(layer_, tensors_);
  const auto linears = linears_of(copies.of(0));
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
  text.each(layer_, Precision::float32,
            [&](size_t i, const MixerInput& input) { copies.of(i).forward(text.states()[i], input); });
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
  const auto sums = sum([&](const torch::Tensor& x_PD, const AddPart& add) {
    add("moment", moment_of(outputs(x_PD, weight, bias)));
  });
  return sums.at("moment");
}

double CalibrationInputs::mean_rms(const torch::Tensor& weight, const torch::Tensor& bias, bool inverse) const {
  const auto sums = sum([&](const torch::Tensor& x_PD, const AddPart& add) {
    const auto mean_square = outputs(x_PD, weight, bias).to(torch::kFloat64).square().mean(1);
    add("rms", (inverse ? (mean_square + stream_.form().config.norm_eps).rsqrt() : mean_square.sqrt()).sum());
  });
  return sums.at("rms").item<double>() / static_cast<double>(tokens());
}

}  // namespace attnlab
