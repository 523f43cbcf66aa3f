// Under a policy that drops tokens: which ones a layer holds, as columns of the batch, and what it keeps beside
// each.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

class HeldPlaces {
 public:
  // For `heads` choices apart. `turned`: what each key turned by is kept, too.
  explicit HeldPlaces(int64_t heads = 1, bool turned = false) : heads_(heads), keeps_turned_(turned) {}

  // New tokens behind those that are held: their columns and, if it is kept, what their keys turn by; int64 [B
  // or 1, T].
  void append(const torch::Tensor& columns_BT, const torch::Tensor& turned_BT, int64_t B);
  // Tokens in columns before the row's first one count as gaps from now on.
  void drop_padding(const torch::Tensor& padding_B1);
  // Keeps those at the given places, [B, h, K], where they stay at all; the rest is a gap.
  void keep(const torch::Tensor& index_BhK, const torch::Tensor& stays_BhS);
  void select_rows(const torch::Tensor& rows);
  // Rows of two, each the last `length` places of its own, whose columns move by so many.
  static HeldPlaces joined(const HeldPlaces& first, int64_t first_moves, const HeldPlaces& second,
                           int64_t second_moves, int64_t length);

  int64_t heads() const { return heads_; }
  int64_t length() const { return columns_BhS_.defined() ? columns_BhS_.size(2) : 0; }
  // int64 and bool [B, h, S]. A gap has no column.
  torch::Tensor columns() const { return columns_BhS_.to(torch::kInt64); }
  torch::Tensor valid() const { return columns_BhS_ >= 0; }
  // A token's place among those that are held, padding not counted, int64 [B, h, S]; and what its key turned
  // by.
  torch::Tensor slots(const torch::Tensor& padding_B1) const;
  torch::Tensor turned() const { return turned_BhS_.to(torch::kInt64); }
  // Of the policy's own, float32 [B, h, S]; may be undefined.
  torch::Tensor& scores() { return scores_BhS_; }
  const torch::Tensor& scores() const { return scores_BhS_; }

  int64_t bytes() const;

 private:
  int64_t heads_;
  bool keeps_turned_;
  torch::Tensor columns_BhS_, turned_BhS_;  // int32
  torch::Tensor scores_BhS_;
};

}  // namespace attnlab
