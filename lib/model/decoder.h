// The decoder: embedding, layers of a mixer (attention, mostly) and an
// MLP with RMS norms before each (Gemma 2: behind each, too),
// final norm, output matrix. Parameters carry the names of Hugging Face's Llama
// ("model.layers.0.self_attn.q_proj.weight", …); families whose files differ are mapped (families/families.h).
//
// Shapes: B batch, T new tokens, S all tokens so far, D d_model, V vocabulary.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "attention/linear.h"
#include "attention/mixer.h"
#include "attention/rotary.h"
#include "model/mlp.h"
#include "model/model_form.h"
#include "model/model_masks.h"
#include "model/norm.h"
#include "state/layer_state.h"
#include "tensor/torch.h"

namespace attnlab {

class LayerGate;  // layer_gate.h

// Makes the mixer of a layer.
using MixerMaker = std::function<std::shared_ptr<Mixer>(int64_t layer)>;

// The tokens of one forward pass (state/sequence.h). Default: whole sequences from position 0, causal.
struct SequenceSpec {
  int64_t begin = 0;
  torch::Tensor padding_B1 = {};
  torch::Tensor document_positions_BT = {}, document_lengths_BT = {};  // and how long each token's document is
  int64_t to_come = 0;  // tokens of the prompt that follow in later passes
  // Tables of all columns so far, if the caller keeps them (Decoder::rotary_at); empty: made anew.
  std::vector<RotaryTables> rotary = {};
  ScatteredTokens scattered = {};
  RowEnds ends = {};
};

// What the layers of a pass gave, one after the other: for losses between layers.
struct LayerTaps {
  enum class Of { mixers, layers };  // a mixer's output before a norm behind it, or the residual stream
  Of of = Of::layers;
  std::vector<torch::Tensor> outputs_BTD = {};
};

// What a forward pass reads beside the tokens, and what it writes.
struct DecoderContext {
  SequenceSpec sequence = {};
  std::vector<LayerState>* states = nullptr;  // one per layer
  // Of mixers: not where layers are recomputed (Decoder::recompute_layers).
  LayerTaps* taps = nullptr;
};

// The residual stream as a sum that the next norm takes in one pass; added_BTD undefined: x_BTD is the stream.
struct StreamSum {
  torch::Tensor x_BTD, added_BTD = {};
  torch::Tensor taken() const { return added_BTD.defined() ? x_BTD + added_BTD : x_BTD; }
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const ModelForm& form, int64_t layer, std::shared_ptr<Mixer> mixer);
  // `input.x_BTD` is taken from x. `mixed_BTD`, if given, gets what the mixer gave.
  torch::Tensor forward(const torch::Tensor& x_BTD, MixerInput input, torch::Tensor* mixed_BTD = nullptr);
  // The same from sum to sum.
  StreamSum pass(const StreamSum& stream, MixerInput input, torch::Tensor* mixed_BTD = nullptr);
  // Its two halves: the stream behind the mixer, and behind the MLP.
  torch::Tensor mix(const torch::Tensor& x_BTD, MixerInput input, torch::Tensor* mixed_BTD = nullptr);
  torch::Tensor feed(const torch::Tensor& x_BTD, const MixerInput& input);
  void set_masks(const torch::Tensor& hidden_D, const LayerMasks& masks);
  const std::shared_ptr<Mixer>& mixer() const { return mixer_; }
  // Null: the family's layers have none.
  const Mlp* mlp() const { return mlp_.mlp.get(); }
  // Parameters that are never trained, by their names in the layer.
  std::vector<std::string> fixed_parameters() const;

 private:
  StreamSum mixed(StreamSum stream, MixerInput input, torch::Tensor* mixed_BTD);
  StreamSum fed(const StreamSum& stream, const MixerInput& input);

  // Norms before mixer and MLP, behind each where the family has them, and of RWKV behind the embedding.
  Norm mixer_norm_{nullptr}, mlp_norm_{nullptr}, after_mixer_{nullptr}, after_mlp_{nullptr},
      embedding_norm_{nullptr};
  std::shared_ptr<Mixer> mixer_;
  NamedMlp mlp_;
  bool float32_residual_;
  torch::Tensor mixer_shortcut_, mlp_shortcut_;  // undefined: the stream passes as it is
  torch::Tensor hidden_mask_;
  LayerMasks masks_;
};

// Its matrices that tokens are multiplied by, with the names of their modules ("mlp.down_proj").
std::vector<std::pair<std::string, std::shared_ptr<LinearImpl>>> linears_of(const torch::nn::Module& layer);
// A layer of a form, its weights uninitialised. Packed matrices must have a place in the layout.
std::shared_ptr<DecoderLayer> make_layer(const ModelForm& form, int64_t layer);
// Numbers that all layers of a form together keep per token while generating.
int64_t cached_numbers_per_token(const ModelForm& form);
// Bytes of all its tensors, numbers of matrices and norms taking `element_bytes` each; packed ones what they
// take.
double weight_bytes(const ModelForm& form, int64_t element_bytes);
// Why the form's layers can't keep their caches so, if so; the key is one of eval.cache.
std::optional<BadInput> cache_problem(const ModelForm& form, const CachePlan& plan);
// How a layer of a form turns.
Rotary layer_rotary(const ModelForm& form, int64_t layer);

class Decoder : public torch::nn::Module {
 public:
  // Weights mean nothing until load_weights fills them. `mixers`: instead of those of the form's variants.
  explicit Decoder(const ModelForm& form, const MixerMaker& mixers = {});
  Decoder(const DecoderConfig& config, const VariantConfig& variant) : Decoder(ModelForm(config, variant)) {}

  // Token ids [B, T] → hidden states after the final norm [B, T, D].
  torch::Tensor hidden(const torch::Tensor& ids_BT, const DecoderContext& context = {});
  // The same in steps, for passes in which layers run different tokens: token ids [B, T] → [B, T, D]; one
  // layer; the final norm.
  torch::Tensor embed(const torch::Tensor& ids_BT) const;
  torch::Tensor run_layer(size_t layer, const torch::Tensor& x_BTD, std::shared_ptr<const Sequence> sequence,
                          LayerState* state, KvBoard* board = nullptr, torch::Tensor* mixed_BTD = nullptr);
  torch::Tensor final_norm(const torch::Tensor& x);
  std::shared_ptr<const Sequence> make_sequence(const SequenceSpec& spec, int64_t T);
  // From now on what the masks say is multiplied in; empty ones end that. MLPs must be dense.
  void set_masks(const ModelMasks& masks);
  // From now on, forward passes with a graph keep each layer's input alone (recompute.h).
  void recompute_layers(bool yes) { recompute_ = yes; }
  // From now on it is told of each layer's passes; null: nobody is.
  void set_gate(LayerGate* gate) { gate_ = gate; }
  // [V, D]: the embedding, where the two are tied.
  const torch::Tensor& output_weight() const { return form_.config.tie_embeddings ? embedding_ : lm_head_; }
  // Hidden states [..., D] → logits [..., V], capped where the family caps them.
  torch::Tensor logits(const torch::Tensor& hidden) const;

  // Tables for given positions, one for each way in which layers turn. `lengths`: see Rotary::tables.
  std::vector<RotaryTables> rotary_at(const torch::Tensor& positions_BT,
                                      const torch::Tensor& lengths = {}) const;
  // Which frequencies sequences of this length turn by (Rotary); layers that nothing scales have no part in it.
  int64_t frequencies_of(int64_t length) const;
  // The tables that passes without any use, so far; a longer sequence replaces them.
  std::vector<torch::Tensor> kept_tables() const;
  // Empty states for B sequences of up to `capacity` tokens, in the dtype that forward passes compute in.
  // Throws InputError (cache_problem, keys "eval.cache.…").
  std::vector<LayerState> make_states(int64_t B, int64_t capacity, const CachePlan& plan = {}) const;
  // Why passes can't be recorded (kernels/recorded.h) as they would be computed now, autocast heeded, if so.
  std::optional<std::string> recording_problem() const;
  // Numbers that all layers together keep per token while generating.
  int64_t cached_numbers_per_token() const;
  // Bytes that all layers together keep for one sequence of `context` tokens in numbers of `element_bytes`.
  double state_bytes(const CacheConfig& cache, int64_t context, int64_t element_bytes) const;
  // Floating-point operations of one token's forward pass, averaged over a causal sequence of T tokens; the
  // embedding look-up is free, the output matrix counts.
  double forward_flops_per_token(int64_t T) const;

  const DecoderConfig& config() const { return form_.config; }
  const ModelForm& form() const { return form_; }
  const std::vector<std::shared_ptr<DecoderLayer>>& layers() const { return layers_; }
  torch::Device device() const { return embedding_.device(); }

 private:
  // Throws InputError where a layer reads keys and values of one that leaves none.
  void require_shared_layers() const;
  // What passes compute products in, autocast heeded.
  torch::ScalarType computed_type() const;
  std::vector<RotaryTables> rotary_from_zero(int64_t T);
  MixerInput input_of(size_t layer, std::shared_ptr<const Sequence> sequence, LayerState* state,
                      KvBoard* board) const;
  // Whether layers hand on sums of the stream: nobody looks between them.
  bool hands_on_sums(const DecoderContext& context) const;

  ModelForm form_;
  std::vector<Rotary> rotaries_;  // the ways in which layers turn
  std::vector<size_t> ways_;      // of each layer, in rotaries_
  torch::Tensor embedding_, lm_head_, embedding_mask_;
  Norm final_norm_{nullptr};
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  bool recompute_ = false;
  LayerGate* gate_ = nullptr;
  // Tables of positions 0 … longest T seen, by these frequencies.
  struct KeptTables {
    int64_t frequencies = 0;
    std::vector<RotaryTables> ways;
  };
  std::array<KeptTables, 2> kept_tables_;  // of short sequences, and of the last kind of long ones
};

}  // namespace attnlab
