// CARE (arXiv 2603.17946): low-rank keys and values, factorised so that outputs over calibration text err
// least, with ranks that differ by layer under one budget.
//
// The layer is that of latent_attention.h: c_K = W_K x + b_K and c_V = W_V x + b_V are cached, K = U_K c_K, V =
// U_V c_V, rotary and norms of heads act after the up-projection. K and V are cut each on its own: with C the
// second moment of the layer's inputs, the SVD of W √C cut to the rank and un-whitened with √C⁻¹ (low_rank.h).
// Written from the paper's abstract and its description; where they leave something open, the choice here is
// named as ours.
#pragma once

#include <vector>

#include "attention/variant.h"

namespace attnlab {

// How the budget of 2 · rank numbers per layer is spread over layers, keys and values.
enum class RankAllocation {
  energy,   // greedily, by the singular values
  uniform,  // `rank` everywhere
};
template <>
struct EnumNames<RankAllocation> {
  static constexpr std::array<std::pair<std::string_view, RankAllocation>, 2> rows{
      {{"energy", RankAllocation::energy}, {"uniform", RankAllocation::uniform}}};
};

// Latent numbers of each layer.
struct LayerRanks {
  LayerRanks();
  LayerRanks(std::vector<int64_t> of_keys, std::vector<int64_t> of_values);
  // Not inline: where a std::variant that has lists in it is moved inline, GCC 12 warns of memory that is never
  // read (-Wmaybe-uninitialized).
  LayerRanks(const LayerRanks& other);
  LayerRanks(LayerRanks&& other) noexcept;
  LayerRanks& operator=(const LayerRanks& other);
  LayerRanks& operator=(LayerRanks&& other) noexcept;
  ~LayerRanks();

  std::vector<int64_t> keys, values;
};

struct Care {
  static constexpr std::string_view kName = "care";
  static constexpr MadeBy kMadeBy = MadeBy::care;
  struct Config {
    std::optional<int64_t> rank;
    RankAllocation allocation = RankAllocation::energy;
    LayerRanks layers;  // empty: by allocation
    bool covariance = true;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"rank", "latent numbers of keys and of values, on average over layers; absent: all (exact)"}
                .at_least(1),
            self.rank);
      visit(Key{"allocation", "how numbers are spread over layers: energy or uniform"}, self.allocation);
      visit(Key{"k_ranks", "latent numbers of keys in each layer; absent: by allocation"}.at_least(1),
            self.layers.keys);
      visit(Key{"v_ranks", "latent numbers of values in each layer; absent: by allocation"}.at_least(1),
            self.layers.values);
      visit(Key{"covariance", "errors are weighted by what layers see of calibration text"}, self.covariance);
      visit(Key{"absorb", "decode with values read straight from the latent"}, self.absorb);
    }
  };

  // Ranks above G·H, lists of ranks that are not as long as the stack, or one list without the other; a base
  // whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape& shape, const Config& config) {
    return config.rank.value_or(shape.n_kv_heads * shape.head_dim);
  }
  static std::optional<Config> with_cache(const AttentionShape& shape, int64_t numbers);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  // Without calibration: identity covariance, and `rank` in every layer where no lists are given.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
