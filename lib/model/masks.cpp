#include "model/masks.h"

namespace attnlab {

LayerMasks make_masks(const torch::Tensor& given_B1TS, int64_t T, int64_t S, int64_t window,
                      torch::Device device) {
  LayerMasks masks{given_B1TS, given_B1TS};
  const auto causal = [&] {
    return torch::ones({1, 1, T, S}, torch::dtype(torch::kBool).device(device)).tril(S - T);
  };
  if (!given_B1TS.defined() && T > 1 && T < S) masks.full_B1TS = masks.window_B1TS = causal();
  if (window == 0 || window >= S) return masks;
  // One new token: the cache of a layer with a window holds what it may see and no more.
  if (T == 1 && !given_B1TS.defined()) return masks;
  const auto base = masks.full_B1TS.defined() ? masks.full_B1TS : causal();
  masks.window_B1TS = base.triu(S - T - window + 1);
  return masks;
}

torch::Tensor document_mask(const torch::Tensor& positions_BT) {
  const int64_t T = positions_BT.size(1);
  const auto places_T = torch::arange(T, positions_BT.options());
  const auto starts_BT1 = (places_T - positions_BT).unsqueeze(-1);
  return (places_T >= starts_BT1).logical_and(places_T <= places_T.unsqueeze(-1)).unsqueeze(1);
}

}  // namespace attnlab
