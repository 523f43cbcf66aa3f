// Cross-layer attention (arXiv 2405.12981): every `share`-th layer has keys and values, the layers behind it
// read them with queries of their own. share = 2 (CLA2) is the paper's advice. Cached: 2·G·H numbers in a layer
// that has its own, nothing in the others. It is trained; a base gives it its start.
#pragma once

#include <vector>

#include "attention/shared_kv.h"

namespace attnlab {

struct Cla {
  static constexpr std::string_view kName = "cla";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    int64_t share = 2;
    std::vector<int64_t> own_layers;
    SharedStart start = SharedStart::mean;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"share", "layers that read the same keys and values"}.at_least(1), self.share);
      visit(Key{"own_layers",
                "layers with keys and values of their own, the first one 0, instead of every "
                "share-th; empty: those"},
            self.own_layers);
      visit(Key{"start",
                "keys and values start as the mean of those of the layers that read them, or as the first's"},
            self.start);
    }
  };

  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // No layer reads another's.
  static bool is_exact(const AttentionShape& shape, const Config& config);
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
  // The layers whose keys and values, on average, from_gqa is to be given.
  static std::vector<int64_t> kv_layers(const AttentionShape& shape, const Config& config);
};

}  // namespace attnlab
