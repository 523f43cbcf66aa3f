// What a model weighs and what its KV cache takes, in its own attention and in others: counted on the modules
// that variants build, whose tensors have no memory.
//
// D d_model, N query heads, G KV heads, H head_dim, R latent rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_form.h"

namespace attnlab {

struct ParameterCounts {
  int64_t embedding = 0;
  int64_t output = 0;     // 0: tied to the embedding
  int64_t attention = 0;  // of all layers, norms of heads and latents included
  int64_t mlp = 0;        // of all layers and experts, routers included
  int64_t norms = 0;      // the rest
  int64_t active = 0;     // what one token goes through: of the experts only the chosen ones

  int64_t total() const { return embedding + output + attention + mlp + norms; }
};

// The numbers that a Decoder of this config has as parameters. Like kv_forms, throws InputError (without a
// file) if the config's sizes are beyond counting.
ParameterCounts count_parameters(const DecoderConfig& config);

// Ranks of a conversion to DeepSeek's form. Those of DeepSeek-V2 and V3, which TransMLA's 93 % are about.
struct LatentRanks {
  int64_t kv_lora_rank = 512;
  int64_t qk_rope_head_dim = 64;
};

// One way to attend, for the same model.
struct KvForm {
  std::string name;              // the variant's name, or "mha" and "mqa" for readings with other KV heads
  std::string formula;           // how the numbers come about, in words of the config
  bool own = false;              // the checkpoint's own
  int64_t numbers = 0;           // kept per token in one layer
  int64_t state_numbers = 0;     // kept whatever the length, in all layers together: float32
  int64_t attention_params = 0;  // of all layers
};

// The model's own form first, then, where they differ from it: the readings with one KV head per query head
// (mha), as many as the config has (gqa) and one (mqa); every variant that the base can be given, at its
// defaults; DeepSeek's form. A base that is MLA already has no KV heads to read otherwise: beside its own form
// stand mha, its keys and values kept per head instead of the latent, and DeepSeek's form with the given ranks.
//
// share < 1: variants are given ranks such that they keep at most this part of what a layer of the model keeps
// (attention/cache_fit.h); those that can't are left out.
std::vector<KvForm> kv_forms(const DecoderConfig& config, const LatentRanks& ranks = {}, double share = 1);

// The form that a model has, numbers on average over its layers. Throws as kv_forms does, or c10::Error where a
// product of sizes overflows.
KvForm kv_form(const ModelForm& form);

struct KvDemand {
  int64_t context = 0;  // tokens of each sequence
  int64_t batch = 1;
  int64_t bits = 16;  // of one cached number
  double share = 1;   // of the model's own numbers a token, that other forms are given (kv_forms)
};

// Tokens that the layers keep together for one sequence: layers with a window keep no more than that. A double,
// like the bytes: whole numbers are exact below 2^53, and what people wish for soon leaves int64_t.
double cached_tokens(const DecoderConfig& config, int64_t context);

// Bytes of the whole cache, states of fixed size included.
double cache_bytes(const DecoderConfig& config, const KvForm& form, const KvDemand& demand);

}  // namespace attnlab
