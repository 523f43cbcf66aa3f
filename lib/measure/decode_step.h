// What bench_decode measures: shapes of models, and one decoding step at a fixed context.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/node.h"
#include "model/decoder.h"
#include "tensor/torch.h"

namespace attnlab {

enum class DecodeShape { llama2_7b, qwen2_5_7b, qwen2_5_1_5b, qwen2_5_0_5b, smollm2_135m, small };
template <>
struct EnumNames<DecodeShape> {
  using enum DecodeShape;
  static constexpr std::array<std::pair<std::string_view, DecodeShape>, 6> rows{{{"llama2-7b", llama2_7b},
                                                                                 {"qwen2.5-7b", qwen2_5_7b},
                                                                                 {"qwen2.5-1.5b", qwen2_5_1_5b},
                                                                                 {"qwen2.5-0.5b", qwen2_5_0_5b},
                                                                                 {"smollm2-135m", smollm2_135m},
                                                                                 {"small", small}}};
};

struct MlaWidths {
  int64_t kv_lora_rank = 512, qk_rope_head_dim = 64;
};

// mla_materialised and mla_absorbed, which are MLA in DeepSeek's form with as many heads as the shape has,
// q_nope and v as wide as a head was; and every variant that is made from GQA, at its defaults.
std::vector<std::string> decode_form_names();
// The shape as released in one of these forms, a variant with these options. Throws InputError (key: the
// form's, or an option's) where the shape can't have it.
ModelForm decode_form(DecodeShape shape, const std::string& form, const MlaWidths& widths, const Node& options);

// With random weights.
std::shared_ptr<Decoder> random_decoder(const ModelForm& form, torch::ScalarType dtype, torch::Device device);

// Bytes that a step cannot do without: each weight once (of the embedding B rows, unless it is the output
// matrix too) and the caches of B sequences with `context` tokens and the new one.
double decode_bytes(const Decoder& decoder, int64_t B, int64_t context, const CacheConfig& cache = {});

// The most sequences whose caches of `tokens` tokens such memory has room for beside the weights, by count:
// what a step computes is left out.
int64_t counted_batch(const Decoder& decoder, double bytes, int64_t tokens, const CacheConfig& cache = {});

// One token for each of B sequences behind caches of `context` random tokens: embedding, layers, logits,
// argmax. Each call takes the token that the last one gave. It stands at the same place, but where a policy
// drops tokens, a storage codes several at once or a state goes on: what was before does not come back, so that
// it stands behind the call before, of `most_calls` calls at most.
class DecodeStep {
 public:
  DecodeStep(Decoder& decoder, int64_t B, int64_t context, const CachePlan& plan = {}, int64_t most_calls = 1);
  void operator()();

 private:
  void fill(LayerState& state, const Mixer& mixer, int64_t B) const;

  Decoder& decoder_;
  int64_t context_;
  bool goes_on_ = false;  // behind the call before
  std::vector<LayerState> states_;
  std::vector<RotaryTables> rotary_;
  torch::Tensor tokens_B1_;
  std::vector<torch::Tensor> read_;  // what the last call began with: a graph made of it reads it again
  int64_t calls_ = 0;
};

}  // namespace attnlab
