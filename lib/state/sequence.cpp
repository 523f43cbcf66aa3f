#include "state/sequence.h"

#include "core/errors.h"

namespace attnlab {

Sequence::Sequence(SequenceParts parts) : parts_(std::move(parts)) {
  ATTNLAB_CHECK(parts_.T > 0 && (parts_.begin == 0 || !parts_.document_positions_BT.defined()));
  ATTNLAB_CHECK(!is_at_ends() || (parts_.T == 1 && !parts_.padding_B1.defined()));
  const auto of_new = [&](const torch::Tensor& table_BSH) {
    if (is_at_ends()) return table_BSH.index_select(1, parts_.ends.columns_B).transpose(0, 1);
    return is_scattered() ? table_BSH.index_select(1, columns()) : table_BSH.narrow(1, begin(), T());
  };
  for (const auto& [cos, sin] : parts_.rotary) new_rotary_.push_back({of_new(cos), of_new(sin)});
  if (is_scattered()) return;  // masks follow from places (mask_at)
  full_B1TS_ = full_mask();
  for (const int64_t window : parts_.windows)
    window_masks_.emplace_back(window, window_mask(full_B1TS_, window));
}

int64_t Sequence::S() const {
  if (is_at_ends()) return parts_.ends.S;
  return is_scattered() ? parts_.scattered.S : parts_.begin + parts_.T;
}

torch::Tensor Sequence::columns() const {
  ATTNLAB_CHECK(!is_at_ends());  // each row has its own
  if (is_scattered()) return parts_.scattered.columns_T;
  return torch::arange(parts_.begin, S(), torch::dtype(torch::kInt64).device(parts_.device));
}

torch::Tensor Sequence::full_mask() const {
  if (parts_.mask_B1TS.defined()) return parts_.mask_B1TS;
  if (parts_.document_positions_BT.defined()) return document_mask(parts_.document_positions_BT);
  if (is_at_ends())
    return torch::arange(S(), parts_.ends.columns_B.options()) <= parts_.ends.columns_B.view({-1, 1, 1, 1});
  const auto bools = torch::dtype(torch::kBool).device(parts_.device);
  const bool plain = T() == 1 || begin() == 0;
  if (!parts_.padding_B1.defined())
    return plain ? torch::Tensor() : torch::ones({1, 1, T(), S()}, bools).tril(begin());
  // Without padding; a padded query may see itself, so that no row of weights is empty.
  const auto columns_S = torch::arange(S(), parts_.padding_B1.options());
  const auto valid_B11S = (columns_S >= parts_.padding_B1).view({-1, 1, 1, S()});
  if (T() == 1) return valid_B11S.logical_or(columns_S == begin());
  const auto causal_TS = torch::ones({T(), S()}, bools).tril(begin());
  return causal_TS.logical_and(valid_B11S).logical_or(causal_TS.triu(begin()));
}

// A query in column c sees the columns c - window + 1 … c.
torch::Tensor Sequence::window_mask(const torch::Tensor& full_B1TS, int64_t window) const {
  if (window == 0 || window >= S()) return full_B1TS;
  if (is_at_ends()) {
    const auto columns_S = torch::arange(S(), parts_.ends.columns_B.options());
    return full_B1TS.logical_and(columns_S > parts_.ends.columns_B.view({-1, 1, 1, 1}) - window);
  }
  // One new token: the state of a layer with a window mostly holds what it may see and no more (see `mask`).
  if (T() == 1 && !full_B1TS.defined()) return {};
  const auto bools = torch::dtype(torch::kBool).device(parts_.device);
  const auto base = full_B1TS.defined() ? full_B1TS : torch::ones({1, 1, T(), S()}, bools).tril(begin());
  return base.triu(begin() - window + 1);
}

torch::Tensor Sequence::mask(int64_t window, int64_t kept) const {
  const auto last = [&](const torch::Tensor& mask) {
    return mask.defined() && kept < S() ? mask.narrow(-1, S() - kept, kept) : mask;
  };
  if (window == 0) return last(full_B1TS_);
  for (const auto& [size, mask] : window_masks_)
    if (size == window) {
      // A state may hold more than the window.
      if (!mask.defined() && T() == 1 && kept > window)
        return (torch::arange(kept, torch::dtype(torch::kInt64).device(parts_.device)) >= kept - window)
            .view({1, 1, 1, kept});
      return last(mask);
    }
  ATTNLAB_CHECK(!"a window that the sequence was not made for");
}

torch::Tensor Sequence::mask_at(const torch::Tensor& places_BhK, const torch::Tensor& valid_BhK,
                                int64_t window) const {
  const auto places_Bh1K = places_BhK.unsqueeze(2), valid_Bh1K = valid_BhK.unsqueeze(2);
  const auto columns_T1 = columns().unsqueeze(1);
  torch::Tensor seen;
  if (full_B1TS_.defined()) {
    const int64_t B = places_BhK.size(0), h = places_BhK.size(1), K = places_BhK.size(2);
    seen = full_B1TS_.expand({B, h, T(), S()})
               .gather(3, places_Bh1K.clamp(0, S() - 1).expand({B, h, T(), K}))
               .logical_and(valid_Bh1K);
  } else {
    seen = (places_Bh1K <= columns_T1).logical_and(valid_Bh1K);
  }
  if (is_scattered())
    seen = seen.logical_and(
        parts_.scattered.open_S.index_select(0, places_BhK.flatten().clamp_min(0)).view_as(places_Bh1K));
  if (window > 0) seen = seen.logical_and(places_Bh1K > columns_T1 - window);
  // Padded queries see themselves, as in `mask`.
  return seen.logical_or(places_Bh1K == columns_T1);
}

torch::Tensor Sequence::valid_BT() const {
  if (!parts_.padding_B1.defined()) return {};
  return columns() >= parts_.padding_B1;
}

torch::Tensor Sequence::starts_BT() const {
  if (parts_.document_positions_BT.defined()) return parts_.document_positions_BT == 0;
  if (!parts_.padding_B1.defined()) return {};
  return columns() == parts_.padding_B1;
}

torch::Tensor document_mask(const torch::Tensor& positions_BT) {
  const int64_t T = positions_BT.size(1);
  const auto places_T = torch::arange(T, positions_BT.options());
  const auto starts_BT1 = (places_T - positions_BT).unsqueeze(-1);
  return (places_T >= starts_BT1).logical_and(places_T <= places_T.unsqueeze(-1)).unsqueeze(1);
}

}  // namespace attnlab
