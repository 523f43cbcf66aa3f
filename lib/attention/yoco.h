// YOCO (arXiv 2405.05254; some call it YONO): the first half of the layers keeps a cache of constant size, a
// sliding window or the state of gated retention; of what they make, one layer's keys and values are all that
// the second half looks at, each of its layers with queries of its own. Cached: a window or a state in each
// layer of the first half, and 2·G·H numbers per token once. It is trained; a base gives it its start.
#pragma once

#include <vector>

#include "attention/shared_kv.h"

namespace attnlab {

enum class YocoFirstHalf { window, retention };
template <>
struct EnumNames<YocoFirstHalf> {
  static constexpr std::array<std::pair<std::string_view, YocoFirstHalf>, 2> rows{
      {{"window", YocoFirstHalf::window}, {"retention", YocoFirstHalf::retention}}};
};

struct Yoco {
  static constexpr std::string_view kName = "yoco";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    YocoFirstHalf first_half = YocoFirstHalf::window;
    int64_t window = 1024;
    SharedStart start = SharedStart::mean;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"first_half", "window (sliding), or retention (gated)"}, self.first_half);
      visit(Key{"window", "tokens that a layer of the first half sees, itself included"}.at_least(1),
            self.window);
      visit(Key{"start",
                "the second half's keys and values start as the mean of those of its layers, or as the "
                "first's"},
            self.start);
    }
  };

  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // A layer of a stack of which nothing is said is one of the second half, with keys and values of its own.
  static bool is_exact(const AttentionShape& shape, const Config&) { return shape.n_layers == 0; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
  static std::vector<int64_t> kv_layers(const AttentionShape& shape, const Config& config);
};

}  // namespace attnlab
