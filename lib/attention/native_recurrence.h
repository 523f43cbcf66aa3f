// Mixers of models that never had attention: Mamba, Mamba-2 and RWKV-4, with the parameter names of their
// checkpoints. A base has one of them or not (RecurrentShape in shape.h); it is made from nothing else.
//
// Kept: the state that its recurrence has, and the last inputs of the convolution or the token shift.
#pragma once

#include "attention/variant.h"

namespace attnlab {

struct NativeRecurrence {
  static constexpr std::string_view kName = "native_recurrence";
  static constexpr MadeBy kMadeBy = MadeBy::nothing;
  struct Config {
    template <class Self, class Visitor>
    static void fields(Self&, Visitor&&) {}
  };

  // A base with attention.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // Nothing turns; tables of two numbers stand for none.
  static int64_t turning_dim(const AttentionShape&, const Config&, int64_t) { return 2; }
  static bool is_exact(const AttentionShape&, const Config&) { return true; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

// RWKV's token shift of the channel mixing (the MLP's place) is kept in this slot of the layer's state.
inline constexpr size_t kChannelMixingSlot = 4;

}  // namespace attnlab
