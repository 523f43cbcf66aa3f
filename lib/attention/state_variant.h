// What variants whose layers keep a state of fixed size say alike (variant.h).
#pragma once

#include "attention/variant.h"

namespace attnlab {

template <class Options>
struct StateVariant {
  using Config = Options;
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  // No start computes what softmax attention does.
  static bool is_exact(const AttentionShape&, const Config&) { return false; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  // The state has one size.
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
};

}  // namespace attnlab
