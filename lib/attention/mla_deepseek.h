// GQA in DeepSeek's form (TransMLA, arXiv 2502.07864v5): RoRoPE and FreqFold gather rotary position in one
// head's numbers, the rest of the keys loses it and is compressed with the values into one latent. The module
// is that of deepseek_attention.h with nope = v = head_dim and rope = head_dim / collapse; scores are scaled as
// DeepSeek's code does it, by 1/√(nope + rope), and the queries' weights make up for the base's own scale.
//
// What the layer caches: kv_lora_rank + head_dim / collapse numbers per token.
#pragma once

#include "attention/variant.h"

namespace attnlab {

// What the principal directions of keys and values are those of.
enum class KvPca {
  activation,  // what the layers say of calibration text
  weight,      // the weights: as if all inputs were equally likely
};
template <>
struct EnumNames<KvPca> {
  static constexpr std::array<std::pair<std::string_view, KvPca>, 2> rows{
      {{"activation", KvPca::activation}, {"weight", KvPca::weight}}};
};

// DeepSeek's code always norms the latent.
enum class LatentNorm {
  neutral,     // the model has no norm; an export carries one more latent number that makes the norm harmless
  calibrated,  // the model has norms, whose weight is the latent's mean RMS over calibration tokens:
               // approximate
};
template <>
struct EnumNames<LatentNorm> {
  static constexpr std::array<std::pair<std::string_view, LatentNorm>, 2> rows{
      {{"neutral", LatentNorm::neutral}, {"calibrated", LatentNorm::calibrated}}};
};

// Where the converter that was published with the paper (fxmeng/TransMLA, commit 9c0d254) deviates from it.
enum class Follow {
  paper,
  published_code,  // the balance leaves out the values' first rope numbers; norm weights: norm_layer
};
template <>
struct EnumNames<Follow> {
  static constexpr std::array<std::pair<std::string_view, Follow>, 2> rows{
      {{"paper", Follow::paper}, {"published_code", Follow::published_code}}};
};

struct MlaDeepseek {
  static constexpr std::string_view kName = "mla_deepseek";
  static constexpr MadeBy kMadeBy = MadeBy::deepseek;
  struct Config {
    std::optional<int64_t> kv_lora_rank;
    int64_t q_lora_rank = 0;
    std::string freqfold = "auto";
    int64_t collapse = 1;
    bool balance = true;
    double balance_kv_ratio = 1;
    KvPca kv_pca = KvPca::activation;
    LatentNorm latent_norm = LatentNorm::neutral;
    Follow follow = Follow::paper;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"kv_lora_rank", "latent numbers of keys and values; absent: all, which loses nothing"}.at_least(
                1),
            self.kv_lora_rank);
      visit(Key{"q_lora_rank", "latent numbers of the queries; 0: not compressed"}.at_least(0),
            self.q_lora_rank);
      visit(Key{"freqfold",
                "neighbouring rotary frequencies that are taken as one, or auto: doubled while "
                "perplexity falls"},
            self.freqfold);
      visit(Key{"collapse", "head_dim / this numbers keep rotary position; divides freqfold"}.at_least(1),
            self.collapse);
      visit(Key{"balance", "keys are scaled to the norm of values before the joint PCA"}, self.balance);
      visit(Key{"balance_kv_ratio", "weight of values in the balance"}.above(0), self.balance_kv_ratio);
      visit(Key{"kv_pca", "what the PCA of keys and values is of: activation or weight"}, self.kv_pca);
      visit(Key{"latent_norm", "neutral (exact) or calibrated (approximate)"}, self.latent_norm);
      visit(Key{"follow", "paper, or published_code: with the deviations of the public converter"},
            self.follow);
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  // A rank above the full one, freqfold or collapse that don't divide, norms of query and key heads, partial or
  // longrope rotary, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // Rotary is taken from most numbers of a head: never, but where there is one KV head that keeps them all.
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config);
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Without calibration: as if all inputs were equally likely (freqfold auto: collapse).
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
  static int64_t turning_dim(const AttentionShape& shape, const Config& config, int64_t) {
    return shape.head_dim / config.collapse;
  }
};

// Sizes of the layer that `config` makes of a GQA layer.
MlaShape deepseek_sizes(const AttentionShape& shape, const MlaDeepseek::Config& config);
// Latent numbers of keys and values that lose nothing: 2·G·H - H / collapse.
int64_t full_kv_rank(const AttentionShape& shape, const MlaDeepseek::Config& config);
// freqfold as a number; auto gives `collapse`, the least that there is.
int64_t freqfold_of(const MlaDeepseek::Config& config);

}  // namespace attnlab
