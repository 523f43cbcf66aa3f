// What of a decoder's shape is masked while it is pruned (Sheared LLaMA, arXiv 2310.06694), and how many
// parameters are expected to stay.
//
// Shapes: L layers, N query heads, G KV heads, I columns of the MLP, D d_model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/names.h"
#include "prune/hard_concrete.h"

namespace attnlab {

// What one number of a mask takes out.
enum class MaskKind {
  hidden,        // [D]     a number of the residual stream
  head,          // [L, N]  a query head, with its own keys and values where N = G
  kv_head,       // [L, G]  a KV head with its N / G query heads
  intermediate,  // [L, I]  a column of the MLP
  layer,         // [L]     both blocks of a layer
  head_layer,    // [L]     its attention
  mlp,           // [L]     its MLP
};
template <>
struct EnumNames<MaskKind> {
  using enum MaskKind;
  static constexpr std::array<std::pair<std::string_view, MaskKind>, 7> rows{{{"hidden", hidden},
                                                                              {"head", head},
                                                                              {"kv_head", kv_head},
                                                                              {"intermediate", intermediate},
                                                                              {"layer", layer},
                                                                              {"head_layer", head_layer},
                                                                              {"mlp", mlp}}};
};

struct PrunedShape {
  int64_t d_model = 0, n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0, d_ff = 0;

  // Numbers of a mask of this kind in one row, and rows (0: it has one row, without a layer's axis).
  int64_t size(MaskKind kind) const;
  int64_t rows(MaskKind kind) const;
  // Parameters of the matrices of all layers: L (2 D H (N + G) + 3 D I).
  double prunable() const;
};

// α of each mask, float32, all of which train.
using MaskParameters = std::map<MaskKind, torch::Tensor>;

// N(5, 0.01²) in each, which its clamp takes to ln 100 (as public code starts), from this generator.
MaskParameters start_masks(const PrunedShape& shape, const std::vector<MaskKind>& kinds,
                           const at::Generator& generator);

// Expected parameters of the matrices that stay:
//   Σ_hidden chance · (Σ_layers,heads chance · per head + Σ_layers,columns chance · 3),
// a head's chance times its layer's, per head and hidden number 4 H for a head with its own keys and values,
// and 2 H (N / G + 1) for a KV head with its queries. What has no mask counts whole.
torch::Tensor expected_parameters(const PrunedShape& shape, const MaskParameters& masks);

}  // namespace attnlab
