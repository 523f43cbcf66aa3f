#include "model/decoder.h"

#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>
#include <cmath>

#include "attention/product_type.h"
#include "core/errors.h"
#include "kernels/few_rows.h"
#include "model/cache_calibration.h"
#include "model/layer_gate.h"
#include "model/recompute.h"

namespace attnlab {
namespace {

constexpr const char* kMixer = "self_attn";

// A module that only holds one parameter called "weight", so that names nest as in Hugging Face's files.
torch::Tensor weight_under(torch::nn::Module& parent, const std::string& name, torch::IntArrayRef shape) {
  struct Holder : torch::nn::Module {};
  const auto holder = parent.register_module(name, std::make_shared<Holder>());
  return holder->register_parameter("weight", empty_parameter(shape));
}

NormKind norm_kind(const FamilyTraits& traits) {
  if (traits.layer_norms) return NormKind::layer;
  return traits.norm_plus_one ? NormKind::rms_plus_one : NormKind::rms;
}

// x + added and its norm. A residual stream of float32 is rounded to the weights' format where a norm takes it.
NormedStream normed(const Norm& norm, const torch::Tensor& x_BTD, const torch::Tensor& added_BTD,
                    bool float32_residual) {
  if (!float32_residual) return norm->of_sum(x_BTD, added_BTD);
  const auto stream_BTD = added_BTD.defined() ? x_BTD + added_BTD : x_BTD;
  return {stream_BTD, norm->forward(stream_BTD.to(norm->weight.scalar_type()))};
}

bool has_float32_residual(const DecoderConfig& config) {
  return config.recurrent && config.recurrent->float32_residual;
}

}  // namespace

DecoderLayer::DecoderLayer(const ModelForm& form, int64_t layer, std::shared_ptr<Mixer> mixer)
    : mixer_(std::move(mixer)),
      mlp_(make_mlp(form, layer)),
      float32_residual_(has_float32_residual(form.config)) {
  const FamilyTraits& traits = traits_of(form.config.family);
  const int64_t width = form.stream_width();
  const auto norm = [&](const char* name) {
    return register_module(name, Norm(width, form.stream_eps(width), norm_kind(traits)));
  };
  if (form.sliced) {
    mixer_shortcut_ = register_parameter("attn_shortcut_Q", empty_parameter({width, width}));
    mlp_shortcut_ = register_parameter("mlp_shortcut_Q", empty_parameter({width, form.width_after(layer)}));
  }
  if (traits.layer_norms && layer == 0) embedding_norm_ = norm("embedding_norm");
  mixer_norm_ = norm("input_layernorm");
  register_module(kMixer, mixer_);
  if (!mlp_.mlp) return;
  if (traits.sandwich_norms) {
    after_mixer_ = norm("post_attention_layernorm");
    mlp_norm_ = norm("pre_feedforward_layernorm");
    after_mlp_ = norm("post_feedforward_layernorm");
  } else {
    mlp_norm_ = norm("post_attention_layernorm");
  }
  register_module(mlp_.name, mlp_.mlp);
}

std::vector<std::string> DecoderLayer::fixed_parameters() const {
  std::vector<std::string> names;
  for (const auto& name : mixer_->fixed_parameters()) names.push_back(std::string(kMixer) + "." + name);
  if (!mlp_.mlp) return names;
  for (const auto& name : mlp_.mlp->fixed_parameters()) names.push_back(mlp_.name + "." + name);
  return names;
}

namespace {

torch::Tensor through(const torch::Tensor& x_BTD, const torch::Tensor& shortcut) {
  return shortcut.defined() ? torch::matmul(x_BTD, shortcut) : x_BTD;
}
torch::Tensor times(const torch::Tensor& y, const torch::Tensor& mask) {
  return mask.defined() ? y * mask.to(y.scalar_type()) : y;
}

}  // namespace

torch::Tensor DecoderLayer::forward(const torch::Tensor& x_BTD, MixerInput input, torch::Tensor* tap_BTD) {
  return pass({x_BTD}, std::move(input), tap_BTD).taken();
}

StreamSum DecoderLayer::pass(const StreamSum& stream, MixerInput input, torch::Tensor* tap_BTD) {
  return fed(mixed(stream, input, tap_BTD), input);
}

torch::Tensor DecoderLayer::mix(const torch::Tensor& x_BTD, MixerInput input, torch::Tensor* tap_BTD) {
  return mixed({x_BTD}, std::move(input), tap_BTD).taken();
}

torch::Tensor DecoderLayer::feed(const torch::Tensor& x_BTD, const MixerInput& input) {
  return fed({x_BTD}, input).taken();
}

StreamSum DecoderLayer::mixed(StreamSum stream, MixerInput input, torch::Tensor* tap_BTD) {
  if (embedding_norm_) stream = {embedding_norm_(stream.taken())};
  const auto in = normed(mixer_norm_, stream.x_BTD, stream.added_BTD, float32_residual_);
  input.x_BTD = in.normed;
  auto mixed_BTD = mixer_->forward(input);
  if (tap_BTD) *tap_BTD = mixed_BTD;
  mixed_BTD = times(times(mixed_BTD, masks_.attention), hidden_mask_);
  if (after_mixer_) mixed_BTD = after_mixer_(mixed_BTD);
  return {through(in.stream, mixer_shortcut_), mixed_BTD};
}

StreamSum DecoderLayer::fed(const StreamSum& stream, const MixerInput& input) {
  if (!mlp_.mlp) return stream;
  const auto in = normed(mlp_norm_, stream.x_BTD, stream.added_BTD, float32_residual_);
  auto mlp_BTD = mlp_.mlp->forward_in(in.normed, input);
  mlp_BTD = times(times(mlp_BTD, masks_.mlp), hidden_mask_);
  if (after_mlp_) mlp_BTD = after_mlp_(mlp_BTD);
  return {through(in.stream, mlp_shortcut_), mlp_BTD};
}

void DecoderLayer::set_masks(const torch::Tensor& hidden_D, const LayerMasks& masks) {
  ATTNLAB_CHECK(!after_mixer_ || !hidden_D.defined());  // norms behind blocks would undo it
  hidden_mask_ = mixer_norm_->mask = mlp_norm_->mask = hidden_D;
  masks_ = masks;
  const auto set = [&](const torch::nn::Module& block, const char* matrix, const torch::Tensor& mask) {
    for (const auto& [name, linear] : linears_of(block))
      if (name == matrix)
        linear->input_mask =
            mask.defined() ? mask.repeat_interleave(linear->in() / mask.size(0)) : torch::Tensor();
  };
  set(*mixer_, "o_proj", masks.heads_N);
  set(*mlp_.mlp, "down_proj", masks.columns_I);
}

std::vector<std::pair<std::string, std::shared_ptr<LinearImpl>>> linears_of(const torch::nn::Module& layer) {
  std::vector<std::pair<std::string, std::shared_ptr<LinearImpl>>> linears;
  for (const auto& item : layer.named_modules("", /*include_self=*/false))
    if (const auto linear = std::dynamic_pointer_cast<LinearImpl>(item.value()))
      linears.emplace_back(item.key(), linear);
  return linears;
}

std::shared_ptr<DecoderLayer> make_layer(const ModelForm& form, int64_t layer) {
  auto module =
      std::make_shared<DecoderLayer>(form, layer, make_mixer(form.attention_shape(layer), form.of(layer)));
  if (form.packing)
    for (const auto& [name, linear] : linears_of(*module))
      if (!form.packing->whole.contains("model.layers." + std::to_string(layer) + "." + name))
        linear->hold_packed(*form.packing);
  return module;
}

int64_t cached_numbers_per_token(const ModelForm& form) {
  const ShapesOnly no_memory;
  int64_t total = 0;
  for (int64_t i = 0; i < form.config.n_layers; ++i)
    total += numbers_per_token(make_mixer(form.attention_shape(i), form.of(i))->state_layout());
  return total;
}

double weight_bytes(const ModelForm& form, int64_t element_bytes) {
  const ShapesOnly no_memory;
  double bytes = 0;
  for (const auto& parameter : Decoder(form).named_parameters()) {
    const auto& name = parameter.key();
    const int64_t each = is_packed_integer(name) ? 4 : is_packed_part(name) ? 2 : element_bytes;
    bytes += static_cast<double>(parameter.value().numel() * each);
  }
  return bytes;
}

namespace {

std::optional<BadInput> layers_problem(const CachePlan& plan, int64_t layers,
                                       const std::function<StateLayout(int64_t)>& layout_of) {
  if (const auto given = plan.pruning ? std::ssize(plan.pruning->of_layers) : 0; given > 0 && given != layers)
    return BadInput{.key = "prune",
                    .found = fmt::format("{} shares", given),
                    .expected = fmt::format("one for each of the {} layers", layers)};
  if (const auto given = std::ssize(plan.layer_policies); given > 0 && given != layers)
    return BadInput{.key = "layer_budgets or layer_shares",
                    .found = fmt::format("{} numbers", given),
                    .expected = fmt::format("one for each of the {} layers", layers)};
  if (auto problem = sharing_problem(*plan.storage, plan)) return problem;
  for (int64_t i = 0; i < layers; ++i) {
    const StateLayout layout = layout_of(i);
    const auto layer = static_cast<size_t>(i);
    if (auto problem = policy_problem(*plan.policy_of(layer), layout)) return problem;
    const auto own = plan.storage->of_layer(layer, static_cast<size_t>(layers));
    if (auto problem = storage_problem(own ? *own : *plan.storage, layout)) return problem;
    if (plan.pruning && (fixed_numbers(layout) > 0 || layout.empty()))
      return BadInput{.key = "policy",
                      .found = "lazyllm",
                      .expected =
                          "another policy: a layer keeps a state of fixed size, which takes all tokens in "
                          "their order, or reads what another layer keeps"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<BadInput> cache_problem(const ModelForm& form, const CachePlan& plan) {
  const ShapesOnly no_memory;
  return layers_problem(plan, form.config.n_layers, [&](int64_t i) {
    return make_mixer(form.attention_shape(i), form.of(i))->state_layout();
  });
}

namespace {

int64_t turning_width(const ModelForm& form, int64_t layer) {
  return variant_turning_dim(form.attention_shape(layer), form.of(layer), form.config.turning_dim());
}

}  // namespace

Rotary layer_rotary(const ModelForm& form, int64_t layer) {
  return {turning_width(form, layer), form.config.rope_theta_of(layer), form.config.rope_scaling_of(layer),
          form.config.turning_dim()};
}

Decoder::Decoder(const ModelForm& form, const MixerMaker& mixers) : form_(form) {
  const DecoderConfig& config = form_.config;
  const auto model = register_module("model", std::make_shared<torch::nn::Module>());
  embedding_ = weight_under(*model, "embed_tokens", {config.vocab_size, form_.stream_width()});
  const auto list = model->register_module("layers", torch::nn::ModuleList());
  std::map<std::pair<int64_t, bool>, size_t> way_of;  // width, and whether turned apart → place in rotaries_
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const auto [way, is_new] =
        way_of.try_emplace({turning_width(form_, i), config.turns_apart(i)}, rotaries_.size());
    if (is_new) rotaries_.push_back(layer_rotary(form_, i));
    ways_.push_back(way->second);
    layers_.push_back(mixers ? std::make_shared<DecoderLayer>(form_, i, mixers(i)) : make_layer(form_, i));
    list->push_back(layers_.back());
  }
  const FamilyTraits& traits = traits_of(config.family);
  const int64_t width = form_.width_after(config.n_layers - 1);
  // RWKV's last norm knows no other.
  const double final_eps = traits.layer_norms ? 1e-5 : form_.stream_eps(width);
  require_shared_layers();
  final_norm_ = model->register_module("norm", Norm(width, final_eps, norm_kind(traits)));
  if (!config.tie_embeddings) lm_head_ = weight_under(*this, "lm_head", {config.vocab_size, width});
}

void Decoder::require_shared_layers() const {
  for (int64_t i = 0; i < std::ssize(layers_); ++i) {
    const int64_t owner = layers_[static_cast<size_t>(i)]->mixer()->reads_layer();
    if (owner < 0 || owner == i || layers_.at(static_cast<size_t>(owner))->mixer()->reads_layer() == owner)
      continue;
    throw InputError(
        BadInput{.key = fmt::format("layer {}", i),
                 .found = fmt::format("{}, which reads keys and values of layer {}, beside {} there",
                                      variant_name(form_.of(i)), owner, variant_name(form_.of(owner))),
                 .expected = "a variant that shares layers in both"});
  }
}

std::shared_ptr<const Sequence> Decoder::make_sequence(const SequenceSpec& spec, int64_t T) {
  auto rotary = spec.rotary;
  if (rotary.empty() && spec.document_positions_BT.defined())
    rotary = rotary_at(spec.document_positions_BT, spec.document_lengths_BT);
  // Tables of a padded batch depend on the rows' lengths: who has one keeps them.
  ATTNLAB_CHECK(!rotary.empty() || !spec.padding_B1.defined());
  if (rotary.empty()) rotary = rotary_from_zero(spec.begin + T);
  std::vector<int64_t> windows;
  for (const auto& layer : layers_)
    if (const int64_t window = layer->mixer()->shape().window;
        window > 0 && std::find(windows.begin(), windows.end(), window) == windows.end())
      windows.push_back(window);
  return std::make_shared<const Sequence>(SequenceParts{.begin = spec.begin,
                                                        .T = T,
                                                        .device = device(),
                                                        .padding_B1 = spec.padding_B1,
                                                        .document_positions_BT = spec.document_positions_BT,
                                                        .mask_B1TS = {},
                                                        .scattered = spec.scattered,
                                                        .ends = spec.ends,
                                                        .to_come = spec.to_come,
                                                        .windows = std::move(windows),
                                                        .rotary = std::move(rotary)});
}

torch::Tensor Decoder::embed(const torch::Tensor& ids_BT) const {
  auto x_BTD = times(torch::embedding(embedding_, ids_BT), embedding_mask_);
  // The factor is rounded to the weights' format, as in Hugging Face's Gemma.
  if (traits_of(config().family).scaled_embedding)
    x_BTD = x_BTD * torch::full({}, std::sqrt(static_cast<double>(config().d_model)), x_BTD.options());
  if (!has_float32_residual(config())) return x_BTD;
  return x_BTD.to(c10::promoteTypes(x_BTD.scalar_type(), torch::kFloat32));
}

torch::Tensor Decoder::run_layer(size_t layer, const torch::Tensor& x_BTD,
                                 std::shared_ptr<const Sequence> sequence, LayerState* state, KvBoard* board,
                                 torch::Tensor* mixed_BTD) {
  const MixerInput input = input_of(layer, std::move(sequence), state, board);
  // Gradients of what a layer leaves for others come from these, too: it is not computed anew by itself.
  const bool recomputed = recompute_ && !state && layers_[layer]->mixer()->reads_layer() < 0;
  ATTNLAB_CHECK(!recomputed || !mixed_BTD);
  const auto run = [&](const torch::Tensor& taken_BTD) {
    return recomputed ? forward_recomputed(layers_[layer], taken_BTD, input)
                      : layers_[layer]->forward(taken_BTD, input, mixed_BTD);
  };
  return gate_ ? through_gate(*gate_, layer, x_BTD, run) : run(x_BTD);
}

torch::Tensor Decoder::final_norm(const torch::Tensor& x) {
  return normed(final_norm_, x, {}, has_float32_residual(config())).normed;
}

MixerInput Decoder::input_of(size_t layer, std::shared_ptr<const Sequence> sequence, LayerState* state,
                             KvBoard* board) const {
  return {.x_BTD = {}, .sequence = std::move(sequence), .rotary = ways_[layer], .state = state, .board = board};
}

bool Decoder::hands_on_sums(const DecoderContext& context) const {
  const bool of_layers = context.taps && context.taps->of == LayerTaps::Of::layers;
  return !gate_ && !of_layers && (!recompute_ || context.states);
}

torch::Tensor Decoder::hidden(const torch::Tensor& ids_BT, const DecoderContext& context) {
  const auto sequence = make_sequence(context.sequence, ids_BT.size(1));
  StreamSum stream{embed(ids_BT)};
  KvBoard board;
  const bool of_mixers = context.taps && context.taps->of == LayerTaps::Of::mixers;
  for (size_t i = 0; i < layers_.size(); ++i) {
    torch::Tensor mixed_BTD;
    auto* tap = of_mixers ? &mixed_BTD : nullptr;
    auto* state = context.states ? &context.states->at(i) : nullptr;
    stream = hands_on_sums(context) ? layers_[i]->pass(stream, input_of(i, sequence, state, &board), tap)
                                    : StreamSum{run_layer(i, stream.x_BTD, sequence, state, &board, tap)};
    if (context.taps) context.taps->outputs_BTD.push_back(of_mixers ? mixed_BTD : stream.x_BTD);
  }
  return normed(final_norm_, stream.x_BTD, stream.added_BTD, has_float32_residual(config())).normed;
}

void Decoder::set_masks(const ModelMasks& masks) {
  embedding_mask_ = masks.embedding ? masks.hidden_D : torch::Tensor();
  final_norm_->mask = masks.hidden_D;
  for (size_t i = 0; i < layers_.size(); ++i)
    layers_[i]->set_masks(masks.hidden_D, masks.layers.empty() ? LayerMasks{} : masks.layers.at(i));
}

torch::Tensor Decoder::logits(const torch::Tensor& hidden) const {
  const auto logits = linear_of_rows(hidden, output_weight());
  if (form_.config.final_softcap <= 0) return logits;
  return form_.config.final_softcap * torch::tanh(logits / form_.config.final_softcap);
}

int64_t Decoder::frequencies_of(int64_t length) const {
  int64_t kind = 0;
  for (const auto& rotary : rotaries_) kind = std::max(kind, rotary.frequencies_of(length));
  return kind;
}

std::vector<RotaryTables> Decoder::rotary_at(const torch::Tensor& positions_BT,
                                             const torch::Tensor& lengths) const {
  std::vector<RotaryTables> tables;
  for (const auto& rotary : rotaries_)
    tables.push_back(rotary.tables(positions_BT, lengths, embedding_.scalar_type()));
  return tables;
}

std::vector<RotaryTables> Decoder::rotary_from_zero(int64_t T) {
  const int64_t frequencies = frequencies_of(T);
  auto& kept = kept_tables_[frequencies > 0];
  const auto usable = [&] {
    if (kept.ways.empty() || kept.frequencies != frequencies) return false;
    const auto& cos_BTH = kept.ways[0].cos_BTH;
    return cos_BTH.size(1) >= T && cos_BTH.device() == device() &&
           cos_BTH.scalar_type() == embedding_.scalar_type();
  };
  const auto options = torch::dtype(torch::kInt64).device(device());
  if (!usable())
    kept = {frequencies, rotary_at(torch::arange(T, options).unsqueeze(0), torch::full({1}, T, options))};
  std::vector<RotaryTables> tables;
  for (const auto& [cos, sin] : kept.ways) tables.push_back({cos.narrow(1, 0, T), sin.narrow(1, 0, T)});
  return tables;
}

std::vector<torch::Tensor> Decoder::kept_tables() const {
  std::vector<torch::Tensor> tensors;
  for (const auto& of_length : kept_tables_)
    for (const auto& [cos, sin] : of_length.ways) tensors.insert(tensors.end(), {cos, sin});
  return tensors;
}

torch::ScalarType Decoder::computed_type() const { return product_type(device(), embedding_.scalar_type()); }

std::optional<std::string> Decoder::recording_problem() const {
  for (const auto& layer : layers_)
    if (layer->mlp() && layer->mlp()->reads_device(device(), computed_type()))
      return "experts, whose loads the host reads";
  return std::nullopt;
}

std::vector<LayerState> Decoder::make_states(int64_t B, int64_t capacity, const CachePlan& plan) const {
  const auto options = embedding_.options().requires_grad(false).dtype(computed_type());
  const auto layout_of = [&](int64_t i) {
    return layers_[static_cast<size_t>(i)]->mixer()->state_layout_on(device());
  };
  if (auto problem = layers_problem(plan, std::ssize(layers_), layout_of)) {
    problem->key = "eval.cache." + problem->key;
    throw InputError(*problem);
  }
  const auto shared = plan.storage->for_states(layers_.size());
  const StoragePlan& storage = shared ? shared : plan.storage;
  std::vector<LayerState> states;
  for (const auto& layer : layers_) {
    CachePlan of_layer = plan;
    of_layer.policy = plan.policy_of(states.size());
    of_layer.storage = storage;
    if (auto own = storage->of_layer(states.size(), layers_.size())) of_layer.storage = std::move(own);
    const AttentionShape& shape = layer->mixer()->shape();
    states.emplace_back(layer->mixer()->state_layout_on(device()), B, capacity, options, shape.window, of_layer,
                        shape.n_heads);
  }
  return states;
}

int64_t Decoder::cached_numbers_per_token() const {
  int64_t total = 0;
  for (const auto& layer : layers_) total += numbers_per_token(layer->mixer()->state_layout());
  return total;
}

double Decoder::state_bytes(const CacheConfig& cache, int64_t context, int64_t element_bytes) const {
  const CachePlan plan = read_cache_plan(cache);
  std::vector<int64_t> windows;
  for (const auto& layer : layers_) windows.push_back(layer->mixer()->shape().window);
  double bytes = 0;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Mixer& mixer = *layers_[i]->mixer();
    bytes += plan_bytes(plan,
                        {.layout = mixer.state_layout(),
                         .layer = i,
                         .n_layers = layers_.size(),
                         .n_heads = mixer.shape().n_heads,
                         .d_model = config().d_model,
                         .window = plan.storage->window_of(i, windows),
                         .element_bytes = element_bytes},
                        context);
  }
  return bytes;
}

double Decoder::forward_flops_per_token(int64_t T) const {
  double flops = 2.0 * static_cast<double>(form_.config.vocab_size * form_.config.d_model);
  for (const auto& layer : layers_) {
    flops += layer->mixer()->forward_flops_per_token(T);
    if (layer->mlp()) flops += layer->mlp()->forward_flops_per_token();
  }
  return flops;
}

}  // namespace attnlab
