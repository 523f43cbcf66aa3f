#include "state/held_places.h"

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr int64_t kGap = -1;

// [B, h, S] → the last `length` of S, or as many with `filling` in front.
torch::Tensor last_of(const torch::Tensor& x_BhS, int64_t length, int64_t filling) {
  if (!x_BhS.defined()) return {};
  const int64_t S = x_BhS.size(2);
  if (S >= length) return x_BhS.narrow(2, S - length, length);
  return torch::constant_pad_nd(x_BhS, {length - S, 0}, filling);
}

torch::Tensor joined_rows(const torch::Tensor& first, const torch::Tensor& second) {
  ATTNLAB_CHECK(first.defined() == second.defined());
  return first.defined() ? torch::cat({first, second}) : torch::Tensor();
}

torch::Tensor behind(const torch::Tensor& held_BhS, const torch::Tensor& new_BhT) {
  return held_BhS.defined() ? torch::cat({held_BhS, new_BhT}, 2) : new_BhT.contiguous();
}

}  // namespace

void HeldPlaces::append(const torch::Tensor& columns_BT, const torch::Tensor& turned_BT, int64_t B) {
  const int64_t T = columns_BT.size(1);
  const auto for_heads = [&](const torch::Tensor& x_BT) {
    return x_BT.to(torch::kInt32).unsqueeze(1).expand({B, heads_, T});
  };
  columns_BhS_ = behind(columns_BhS_, for_heads(columns_BT));
  ATTNLAB_CHECK(!keeps_turned_ || turned_BT.defined());
  if (keeps_turned_) turned_BhS_ = behind(turned_BhS_, for_heads(turned_BT));
  if (scores_BhS_.defined()) scores_BhS_ = torch::constant_pad_nd(scores_BhS_, {0, T}, 0);
}

void HeldPlaces::drop_padding(const torch::Tensor& padding_B1) {
  if (padding_B1.defined())
    columns_BhS_ = columns_BhS_.masked_fill(columns_BhS_ < padding_B1.unsqueeze(1), kGap);
}

void HeldPlaces::keep(const torch::Tensor& index_BhK, const torch::Tensor& stays_BhS) {
  columns_BhS_ = columns_BhS_.masked_fill(stays_BhS.logical_not(), kGap).gather(2, index_BhK);
  if (keeps_turned_) turned_BhS_ = turned_BhS_.gather(2, index_BhK);
  if (scores_BhS_.defined()) scores_BhS_ = scores_BhS_.gather(2, index_BhK);
}

void HeldPlaces::select_rows(const torch::Tensor& rows) {
  for (auto* tensor : {&columns_BhS_, &turned_BhS_, &scores_BhS_})
    if (tensor->defined()) *tensor = tensor->index_select(0, rows);
}

HeldPlaces HeldPlaces::joined(const HeldPlaces& first, int64_t first_moves, const HeldPlaces& second,
                              int64_t second_moves, int64_t length) {
  HeldPlaces out(first.heads_, first.keeps_turned_);
  const auto moved = [&](const HeldPlaces& of, int64_t by) {
    const auto columns = of.columns_BhS_ + by;
    return last_of(columns.masked_fill(of.columns_BhS_ < 0, kGap), length, kGap);
  };
  out.columns_BhS_ = torch::cat({moved(first, first_moves), moved(second, second_moves)});
  out.turned_BhS_ = joined_rows(last_of(first.turned_BhS_, length, 0), last_of(second.turned_BhS_, length, 0));
  out.scores_BhS_ = joined_rows(last_of(first.scores_BhS_, length, 0), last_of(second.scores_BhS_, length, 0));
  return out;
}

torch::Tensor HeldPlaces::slots(const torch::Tensor& padding_B1) const {
  auto counts = valid();
  if (padding_B1.defined()) counts = counts.logical_and(columns_BhS_ >= padding_B1.unsqueeze(1));
  return (counts.to(torch::kInt64).cumsum(2) - 1).clamp_min(0);
}

int64_t HeldPlaces::bytes() const {
  int64_t total = 0;
  for (const auto* tensor : {&columns_BhS_, &turned_BhS_, &scores_BhS_})
    if (tensor->defined()) total += tensor->numel() * tensor->element_size();
  return total;
}

}  // namespace attnlab
