#include "state/coded_table.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {

CodedTable::CodedTable(std::shared_ptr<const TokenCodec> codec, const torch::Tensor& like,
                       int64_t lanes_per_row)
    : codec_(std::move(codec)),
      lanes_per_row_(lanes_per_row),
      device_(like.device()),
      counts_(static_cast<size_t>(like.size(0)), 0) {
  coded_ = codec_->encode(like, heads());
}

torch::Tensor CodedTable::heads() const {
  const auto lanes = static_cast<int64_t>(counts_.size());
  return torch::arange(lanes, torch::dtype(torch::kInt64).device(device_)).remainder(lanes_per_row_);
}

Counts CodedTable::groups_of(const Counts& tokens) const {
  Counts groups(tokens);
  for (auto& count : groups) count /= group();
  return groups;
}

template <class Change>
void CodedTable::change_tokens(Change&& change) {
  for (auto& part : coded_.by_token) part = change(part);
  if (group_of_.defined()) group_of_ = change(group_of_);
  if (coded_.outliers.defined())
    coded_.outliers = coded_.outliers.chosen(change(coded_.outliers.ids()), change(coded_.outliers.counts_Ln));
}

void CodedTable::append(const torch::Tensor& x_Lnw, const Counts& ready) {
  const CodedTokens more = codec_->encode(x_Lnw, heads());
  const auto joined = [&](const torch::Tensor& held, const torch::Tensor& added) {
    return with_more(held, counts_, added, ready);
  };
  const Counts groups = groups_held(), more_groups = groups_of(ready);
  if (group_of_.defined()) {
    const auto steps_n = torch::arange(x_Lnw.size(1), torch::dtype(torch::kInt64).device(device_));
    // Rows behind what is ready of a lane name a group that it has, too.
    Counts last(groups);
    for (size_t l = 0; l < last.size(); ++l) last[l] = std::max<int64_t>(0, last[l] + more_groups[l] - 1);
    const auto named =
        (counts_tensor(groups, device_) + steps_n.floor_divide(group())).minimum(counts_tensor(last, device_));
    group_of_ = joined(group_of_, named.to(torch::kInt32));
  }
  for (size_t i = 0; i < more.by_group.size(); ++i)
    coded_.by_group[i] = with_more(coded_.by_group[i], groups, more.by_group[i], more_groups);
  if (coded_.outliers.defined()) {
    const auto& held = coded_.outliers;
    coded_.outliers = SparseRows::chained(held, more.outliers)
                          .chosen(joined(held.ids(), more.outliers.ids(held.counts_Ln.numel())),
                                  joined(held.counts_Ln, more.outliers.counts_Ln));
  }
  for (size_t i = 0; i < more.by_token.size(); ++i)
    coded_.by_token[i] = joined(coded_.by_token[i], more.by_token[i]);
  for (size_t l = 0; l < ready.size(); ++l) {
    counts_[l] += ready[l];
    if (group_of_.defined()) groups_[l] += more_groups[l];
  }
}

torch::Tensor CodedTable::decode(torch::ScalarType dtype) const {
  CodedTokens coded = coded_;
  for (auto& part : coded.by_group)
    part =
        group_of_.defined() ? take_rows(part, group_of_.to(torch::kInt64)) : part.repeat_interleave(group(), 1);
  const auto x_Lnw = codec_->decode(coded, heads(), dtype);
  return coded.outliers.defined() ? coded.outliers.put_into(x_Lnw) : x_Lnw;
}

void CodedTable::take(const torch::Tensor& index_Lm, const Counts& kept) {
  name_groups();
  change_tokens([&](const torch::Tensor& part) { return take_rows(part, index_Lm); });
  counts_ = kept;
  if (group_of_.defined()) drop_groups();
}

// Tokens that share numbers no longer stand side by side once some are gone: each says whose it is.
void CodedTable::name_groups() {
  if (group() == 1 || group_of_.defined()) return;
  groups_ = groups_held();
  const auto& codes = coded_.by_token[0];
  const auto steps = torch::arange(codes.size(1), torch::dtype(torch::kInt32).device(device_));
  group_of_ = steps.floor_divide(group()).expand({codes.size(0), -1}).contiguous();
}

// Those that no token names.
void CodedTable::drop_groups() {
  const int64_t M = coded_.by_group[0].size(1), n = group_of_.size(1), L = group_of_.size(0);
  if (M == 0) return;
  const auto options = torch::dtype(torch::kInt64).device(device_);
  const auto held_Ln = torch::arange(n, options) < counts_tensor(counts_, device_);
  const auto named = group_of_.to(torch::kInt64);
  const auto used_LM =
      torch::zeros({L, M}, options).scatter_add(1, named, held_Ln.to(torch::kInt64)).clamp_max(1);
  const auto counts = used_LM.sum(1).cpu();
  groups_.assign(counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + L);
  const auto order = (1 - used_LM).argsort(/*stable=*/true, /*dim=*/1).narrow(1, 0, most(groups_));
  for (auto& part : coded_.by_group) part = take_rows(part, order);
  group_of_ = (used_LM.cumsum(1) - 1).clamp_min(0).gather(1, named).to(torch::kInt32);
}

void CodedTable::drop_first(const Counts& gone) {
  if (most(gone) == 0) return;
  ATTNLAB_CHECK(!group_of_.defined());
  const Counts groups = groups_held(), gone_groups = groups_of(gone);
  for (auto& part : coded_.by_group) part = without_first(part, groups, gone_groups);
  change_tokens([&](const torch::Tensor& part) { return without_first(part, counts_, gone); });
  for (size_t l = 0; l < gone.size(); ++l) counts_[l] -= gone[l];
}

void CodedTable::truncate(const Counts& left) {
  ATTNLAB_CHECK(group() == 1);
  counts_ = left;
  change_tokens([&](const torch::Tensor& part) { return part.narrow(1, 0, most(left)); });
}

void CodedTable::select_lanes(const torch::Tensor& lanes_L) {
  const auto select = [&](const torch::Tensor& part) {
    return part.index_select(0, lanes_L.to(part.device()));
  };
  change_tokens(select);
  for (auto& part : coded_.by_group) part = select(part);
  counts_ = selected(counts_, lanes_L);
  if (group_of_.defined()) groups_ = selected(groups_, lanes_L);
}

void CodedTable::stack(CodedTable below) {
  if (group_of_.defined() || below.group_of_.defined()) name_groups(), below.name_groups();
  const CodedTokens& more = below.coded_;
  if (coded_.outliers.defined()) {
    const auto& held = coded_.outliers;
    coded_.outliers = SparseRows::chained(held, more.outliers)
                          .chosen(stacked(held.ids(), more.outliers.ids(held.counts_Ln.numel())),
                                  stacked(held.counts_Ln, more.outliers.counts_Ln));
  }
  for (size_t i = 0; i < more.by_token.size(); ++i)
    coded_.by_token[i] = stacked(coded_.by_token[i], more.by_token[i]);
  for (size_t i = 0; i < more.by_group.size(); ++i)
    coded_.by_group[i] = stacked(coded_.by_group[i], more.by_group[i]);
  if (group_of_.defined()) group_of_ = stacked(group_of_, below.group_of_);
  counts_.insert(counts_.end(), below.counts_.begin(), below.counts_.end());
  groups_.insert(groups_.end(), below.groups_.begin(), below.groups_.end());
}

std::vector<torch::Tensor> CodedTable::parts() const {
  std::vector<torch::Tensor> all = coded_.by_group;
  for (const auto& part : coded_.by_token) all.push_back(part);
  if (group_of_.defined()) all.push_back(group_of_);
  if (coded_.outliers.defined())
    all.insert(all.end(), {coded_.outliers.counts_Ln, coded_.outliers.values_m, coded_.outliers.channels_m});
  return all;
}

}  // namespace attnlab
