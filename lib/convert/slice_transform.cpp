#include "convert/slice_transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention/attention.h"
#include "convert/slicing.h"
#include "core/errors.h"

namespace attnlab {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr const char* kNorm = "model.norm.weight";
// What is carried from layer to layer, [D, D] float64: the basis of the stream that comes, and the first one.
constexpr const char* kBasis = "basis";
constexpr const char* kFirst = "first";

int64_t width_of(const DecoderConfig& config, const SliceOptions& o) {
  if (o.width > 0) return o.width;
  if (o.sparsity == 0) return config.d_model;
  const auto left = static_cast<int64_t>((1 - o.sparsity) * static_cast<double>(config.d_model));
  return left / o.round_interval * o.round_interval;
}

void check_source(const ModelForm& source, const ConversionStep& step, int64_t width) {
  const auto bad = [](const char* key, const std::string& found, const std::string& expected) {
    throw InputError(BadInput{.key = key, .found = found, .expected = expected});
  };
  const DecoderConfig& config = source.config;
  if (width < 1 || width > config.d_model)
    bad("width", fmt::format("{} numbers that stay", width), fmt::format("1 to d_model = {}", config.d_model));
  if (static_cast<int64_t>(step.layers.size()) != config.n_layers)
    bad("layers", fmt::format("{} of {} layers", step.layers.size(), config.n_layers),
        "all: one stream goes through them");
  if (source.sliced) bad("to", "a stream that is cut already", "a whole one");
  if (config.moe) bad("to", "a mixture of experts", "dense MLPs");
  if (traits_of(config.family).sandwich_norms || traits_of(config.family).scaled_embedding)
    bad("to", fmt::format("a {}", name_of(config.family)), "norms in front of blocks alone");
  // Other mixers may read the stream number by number.
  const ShapesOnly no_memory;
  for (int64_t layer = 0; layer < config.n_layers; ++layer)
    if (!std::dynamic_pointer_cast<Attention>(make_layer(source, layer)->mixer()))
      bad("to", fmt::format("{} in layer {}", variant_name(source.of(layer)), layer), "attention");
}

// The matrices that read what the block's norm gives.
struct Readers {
  std::vector<std::string> mixer, mlp;
};

// Found by listening to a pass of the layer over anything.
Readers readers_of(const ModelForm& form, int64_t layer, const TensorMap& tensors) {
  LayerStream stream(form, {.ids_BT = {torch::zeros({1, 4}, torch::kInt64)}},
                     torch::ones({1, form.config.d_model}), tensors.begin()->second.device());
  Readers readers;
  for (const auto& group : CalibrationInputs(stream, layer, tensors).matrix_groups()) {
    const bool in_mixer = group.front().starts_with("self_attn.");
    if (in_mixer && readers.mixer.empty()) readers.mixer = group;
    if (!in_mixer && readers.mlp.empty()) readers.mlp = group;
  }
  return readers;
}

class SliceTransform final : public Transform {
 public:
  SliceTransform(const ModelForm& source, const ConversionStep& step, const SliceOptions& options,
                 HearEigenvalues hear)
      : source_(source), step_(step), options_(options), hear_(std::move(hear)) {
    width_ = width_of(source.config, options);
    check_source(source, step, width_);
    form_ = source;
    form_.sliced = SlicedStream{.width = width_, .head = options.slice_head};
    form_.config.tie_embeddings = false;
    stages_ = {
        {.name = "slice",
         .does = fmt::format("{} of {} principal directions of the stream", width_, source.config.d_model),
         .form = form_,
         .exact = width_ == source.config.d_model && !options.subtract_mean,
         .calibrated = true,
         .convert = [this](const LayerTask& task, LayerFacts& facts) { return slice(task, facts); },
         .sees_result = true,
         .outer = {.begin = [this](const TensorMap& outer, const TokenBatches& text,
                                   TensorMap& carried) { begin(outer, text, carried); },
                   .convert = [this](const TensorMap& outer,
                                     const TensorMap& carried) { return convert_outer(outer, carried); }}}};
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return {step_}; }
  int64_t numbers_to_estimate() const override { return source_.config.d_model; }

 private:
  torch::Tensor embedding_of(const TensorMap& outer) const {
    const auto embedding = outer.at(kEmbedding).to(torch::kFloat32);
    return options_.subtract_mean ? embedding - embedding.mean(1, /*keepdim=*/true) : embedding;
  }

  void begin(const TensorMap& outer, const TokenBatches& text, TensorMap& carried) const {
    const torch::NoGradGuard no_grad;
    const auto embedding = embedding_of(outer);
    const auto sums = sum_in_order(embedding.device(), text.ids_BT.size(), [&](size_t i, const AddPart& add) {
      const auto x_BTD = torch::embedding(embedding, text.ids_BT[i].to(embedding.device()));
      add("moment", signal_moment(x_BTD, text.valid_BT.empty() ? torch::Tensor() : text.valid_BT[i]));
    });
    carried[kFirst] = carried[kBasis] = basis_of(sums.at("moment"), nullptr, "");
  }

  TensorMap convert_outer(const TensorMap& outer, const TensorMap& carried) const {
    const torch::NoGradGuard no_grad;
    TensorMap out;
    out[kEmbedding] = rotated(embedding_of(outer), carried.at(kFirst).slice(1, 0, width_));
    const int64_t last = form_.width_after(source_.config.n_layers - 1);
    const auto& head = outer.at(source_.config.tie_embeddings ? kEmbedding : kHead);
    const auto norm = norm_weight(outer.at(kNorm));
    out[kHead] = rotated(head.to(torch::kFloat32) * norm, carried.at(kBasis).slice(1, 0, last));
    out[kNorm] = fresh_norm(last, outer.at(kNorm).device());
    return out;
  }

  // γ, whatever the family's spelling.
  torch::Tensor norm_weight(const torch::Tensor& stored) const {
    const auto weight = stored.to(torch::kFloat32);
    return traits_of(source_.config.family).norm_plus_one ? weight + 1 : weight;
  }
  torch::Tensor fresh_norm(int64_t width, torch::Device device) const {
    const double factor = std::sqrt(static_cast<double>(source_.config.d_model) / static_cast<double>(width));
    const double stored = traits_of(source_.config.family).norm_plus_one ? factor - 1 : factor;
    return torch::full({width}, stored, torch::dtype(torch::kFloat32).device(device));
  }
  // x Q in float64, as float32.
  static torch::Tensor rotated(const torch::Tensor& x, const torch::Tensor& basis) {
    return torch::matmul(x.to(torch::kFloat64), basis.to(x.device())).to(torch::kFloat32);
  }

  torch::Tensor basis_of(const torch::Tensor& moment_DD, LayerFacts* facts, const char* name) const {
    const auto directions = principal_directions(moment_DD);
    if (hear_) hear_(directions.eigenvalues_D);
    if (facts) {
      const auto& values = directions.eigenvalues_D;
      (*facts)[name] = (values.slice(0, 0, width_).sum() / values.sum()).item<double>();
    }
    return directions.basis_DD;
  }

  // Readers of the block in the basis that comes, cut, their norm's weight in them.
  void slice_readers(const std::vector<std::string>& readers, const torch::Tensor& gamma,
                     const torch::Tensor& basis_Dd, TensorMap& tensors) const {
    for (const auto& name : readers) {
      auto& weight = tensors.at(name + ".weight");
      weight = rotated(fused_with_norm({.weight = weight}, gamma).weight, basis_Dd);
    }
  }
  // A writer in the basis that goes: Qᵀ W, cut; its bias, too.
  static void slice_writer(const std::string& name, const torch::Tensor& basis_Dd, TensorMap& tensors) {
    auto& weight = tensors.at(name + ".weight");
    weight = rotated(weight.t(), basis_Dd).t().contiguous();
    if (const auto bias = tensors.find(name + ".bias"); bias != tensors.end())
      bias->second = rotated(bias->second, basis_Dd);
  }

  // Parameters of a layer whose shapes may differ from the module's: writers are still whole.
  std::shared_ptr<DecoderLayer> filled_layer(int64_t layer, const TensorMap& tensors) const {
    auto module = make_layer(form_, layer);
    for (auto& parameter : module->named_parameters()) {
      parameter.value().requires_grad_(false);
      parameter.value().set_data(tensors.at(parameter.key()));
    }
    module->eval();
    return module;
  }

  TensorMap slice(const LayerTask& task, LayerFacts& facts) const {
    const torch::NoGradGuard no_grad;
    const auto readers = readers_of(source_, task.layer, task.before);
    const auto device = task.before.begin()->second.device();
    const auto as_float = [](const torch::Tensor& x) { return x.to(torch::kFloat32); };
    const int64_t after = form_.width_after(task.layer);
    const auto in_Dd = task.carried->at(kBasis).to(device).slice(1, 0, width_);
    TensorMap now = task.before;
    const auto mixer_gamma = norm_weight(now.at("input_layernorm.weight"));
    const auto mlp_gamma = norm_weight(now.at("post_attention_layernorm.weight"));
    now["input_layernorm.weight"] = now["post_attention_layernorm.weight"] = fresh_norm(width_, device);
    slice_readers(readers.mixer, mixer_gamma, in_Dd, now);
    // The mixer writes, and the shortcut leads, into the old basis: what the second norm would see.
    now["attn_shortcut_Q"] = as_float(in_Dd.t());
    now["mlp_shortcut_Q"] = torch::empty({0});
    const auto& stream = *task.result;
    const auto filled = [&](const TensorMap& tensors) { return filled_layer(task.layer, tensors); };
    const LayerCopies mixers(stream.devices(), now, filled);
    std::vector<torch::Tensor> middle(stream.states().size());
    const auto between =
        stream.sum(task.layer, Precision::float32, [&](size_t i, const MixerInput& input, const AddPart& add) {
          middle[i] = mixers.of(i).mix(stream.states()[i], input);
          add("moment", signal_moment(middle[i], valid(stream, i)));
        });
    const auto middle_DD = basis_of(between.at("moment"), &facts, "energy kept in front of the MLP");
    const auto middle_Dd = middle_DD.slice(1, 0, width_);
    slice_readers(readers.mlp, mlp_gamma, middle_Dd, now);
    now["mlp_shortcut_Q"] = as_float(middle_Dd.t());
    const LayerCopies layers(stream.devices(), now, filled);
    const auto behind = sum_in_order(stream.devices(), middle.size(), [&](size_t i, const AddPart& add) {
      const auto kept = torch::matmul(middle[i], as_float(middle_Dd).to(middle[i].device()));
      add("moment", signal_moment(layers.of(i).feed(kept, {}), valid(stream, i)));
    });
    const auto out_DD = basis_of(behind.at("moment"), &facts, "energy kept behind it");
    const auto out_Dd = out_DD.slice(1, 0, after);
    slice_writer("self_attn.o_proj", middle_Dd, now);
    slice_writer("mlp.down_proj", out_Dd, now);
    now["attn_shortcut_Q"] = as_float(in_Dd.t().matmul(middle_Dd)).contiguous();
    now["mlp_shortcut_Q"] = as_float(middle_Dd.t().matmul(out_Dd)).contiguous();
    (*task.carried)[kBasis] = out_DD;
    return now;
  }

  static torch::Tensor valid(const LayerStream& stream, size_t batch) {
    return stream.valid().empty() ? torch::Tensor() : stream.valid()[batch];
  }

  ModelForm source_, form_;
  ConversionStep step_;
  SliceOptions options_;
  HearEigenvalues hear_;
  int64_t width_ = 0;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_slice_transform(const ModelForm& source, const ConversionStep& step,
                                                const SliceOptions& options, HearEigenvalues hear) {
  return std::make_unique<SliceTransform>(source, step, options, std::move(hear));
}

}  // namespace attnlab
