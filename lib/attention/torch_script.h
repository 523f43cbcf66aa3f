// A mixer sketched in PyTorch, without a build: a scripted module (torch.jit.script) in a file.
//
//   forward(x [B, T, D], cos [B or 1, T, H], sin, valid [B, T] bool, starts [B, T] bool) → [B, T, D]
//
// `valid` is false where a token is padding, `starts` true where a document begins. Its parameters are trained,
// saved and counted like any other's, under their own names. Optional methods:
//   from_gqa(Dict[str, Tensor]) → Dict[str, Tensor]   its parameters from those of the base ("q_proj.weight",
//   …);
//                                                     without: those in the file
//   initial_state(B) → List[Tensor]                   each [B, …], whatever the length
//   step(x, cos, sin, valid, starts, state) → (y, state)   new tokens behind a state
// Without the last two, generation keeps the layer's inputs, D numbers per token, and runs `forward` over all
// of them. Nothing is absorbed, and no fused kernel is used. scripts/variant_template.py writes an example.
#pragma once

#include <string>

#include "attention/variant.h"

namespace attnlab {

struct TorchScript {
  static constexpr std::string_view kName = "torchscript";
  static constexpr MadeBy kMadeBy = MadeBy::weights;
  struct Config {
    std::string path;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"path", "file of the scripted module (scripts/variant_template.py writes one)"}, self.path);
    }
  };

  // A file that is not there or holds no module with such a `forward`, one with only one of `step` and
  // `initial_state`, or a base whose attention is MLA already.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static bool is_exact(const AttentionShape&, const Config&) { return false; }
  static int64_t latent_rank(const AttentionShape&, const Config&) { return 0; }
  static std::optional<Config> with_cache(const AttentionShape&, int64_t) { return std::nullopt; }
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
