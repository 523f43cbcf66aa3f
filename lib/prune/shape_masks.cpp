#include "prune/shape_masks.h"

#include "core/errors.h"

namespace attnlab {

int64_t PrunedShape::size(MaskKind kind) const {
  switch (kind) {
    case MaskKind::hidden:
      return d_model;
    case MaskKind::head:
      return n_heads;
    case MaskKind::kv_head:
      return n_kv_heads;
    case MaskKind::intermediate:
      return d_ff;
    case MaskKind::layer:
    case MaskKind::head_layer:
    case MaskKind::mlp:
      return n_layers;
  }
  ATTNLAB_CHECK(!"a mask without a size");
}

int64_t PrunedShape::rows(MaskKind kind) const {
  const bool by_layer = kind == MaskKind::head || kind == MaskKind::kv_head || kind == MaskKind::intermediate;
  return by_layer ? n_layers : 0;
}

double PrunedShape::prunable() const {
  return static_cast<double>(n_layers) * static_cast<double>(d_model) *
         static_cast<double>(2 * head_dim * (n_heads + n_kv_heads) + 3 * d_ff);
}

MaskParameters start_masks(const PrunedShape& shape, const std::vector<MaskKind>& kinds,
                           const at::Generator& generator) {
  MaskParameters masks;
  for (const MaskKind kind : kinds) {
    std::vector<int64_t> sizes{shape.size(kind)};
    if (shape.rows(kind) > 0) sizes.insert(sizes.begin(), shape.rows(kind));
    auto alpha = torch::empty(sizes, torch::kFloat32).normal_(5, 0.01, generator);
    clamp_mask_parameter(alpha);
    masks[kind] = alpha.requires_grad_();
  }
  return masks;
}

torch::Tensor expected_parameters(const PrunedShape& shape, const MaskParameters& masks) {
  const auto chance = [&](MaskKind kind) {
    const auto found = masks.find(kind);
    return found == masks.end() ? torch::Tensor() : kept_chance(found->second);
  };
  // [L, 1] of a block: its own mask, or its layer's.
  const auto of_block = [&](MaskKind own) {
    auto chances = chance(own);
    if (!chances.defined()) chances = chance(MaskKind::layer);
    return chances.defined() ? chances.unsqueeze(1) : torch::ones({shape.n_layers, 1});
  };
  const bool grouped = masks.contains(MaskKind::kv_head);
  auto heads = chance(grouped ? MaskKind::kv_head : MaskKind::head);
  const int64_t count = grouped ? shape.n_kv_heads : shape.n_heads;
  if (!heads.defined()) heads = torch::ones({shape.n_layers, count});
  auto columns = chance(MaskKind::intermediate);
  if (!columns.defined()) columns = torch::ones({shape.n_layers, shape.d_ff});
  const double per_head = 2.0 * static_cast<double>(shape.head_dim * (shape.n_heads + shape.n_kv_heads)) /
                          static_cast<double>(count);
  const auto blocks =
      (of_block(MaskKind::head_layer) * heads).sum() * per_head + (of_block(MaskKind::mlp) * columns).sum() * 3;
  const auto hidden = chance(MaskKind::hidden);
  return blocks * (hidden.defined() ? hidden.sum() : torch::full({}, static_cast<double>(shape.d_model)));
}

}  // namespace attnlab
