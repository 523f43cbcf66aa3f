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
  rooms_.clear();
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
  append_tokens(more.by_token, ready);
  for (size_t l = 0; l < ready.size(); ++l) {
    counts_[l] += ready[l];
    if (group_of_.defined()) groups_[l] += more_groups[l];
  }
}

void CodedTable::append_tokens(const std::vector<torch::Tensor>& more, const Counts& ready) {
  auto& held = coded_.by_token;
  if (rows() == 0) {  // a prompt: what was made of it is kept as it is
    for (size_t i = 0; i < more.size(); ++i) held[i] = with_more(held[i], counts_, more[i], ready);
    return;
  }
  Counts total(counts_);
  for (size_t l = 0; l < ready.size(); ++l) total[l] += ready[l];
  make_room(most(counts_) + most(ready));
  for (size_t i = 0; i < more.size(); ++i) {
    write_rows(rooms_[i], counts_, more[i].narrow(1, 0, most(ready)));
    held[i] = rooms_[i].narrow(1, 0, most(total));
  }
}

void CodedTable::make_room(int64_t rows) {
  if (!rooms_.empty() && owner_.use_count() == 1 && rooms_[0].size(1) >= rows) return;
  rooms_.clear();
  for (const auto& held : coded_.by_token) {
    auto shape = held.sizes().vec();
    shape[1] = rows + rows / 16 + 64;
    rooms_.push_back(torch::zeros(shape, held.options()));
    rooms_.back().narrow(1, 0, most(counts_)).copy_(held.narrow(1, 0, most(counts_)));
  }
  owner_ = std::make_shared<const int>();
}

torch::Tensor CodedTable::decode_block(int64_t from, int64_t count, torch::ScalarType dtype) const {
  CodedTokens coded{.by_token = coded_.by_token, .by_group = coded_.by_group};
  for (auto& part : coded.by_token) part = part.narrow(1, from, count);
  for (auto& part : coded.by_group)
    part = group_of_.defined() ? take_rows(part, group_of_.narrow(1, from, count).to(torch::kInt64))
                               : part.narrow(1, from / group(), count / group()).repeat_interleave(group(), 1);
  return codec_->decode(coded, heads(), dtype);
}

// By blocks of tokens: what stands between codes and numbers (several times as large) is that of a block.
torch::Tensor CodedTable::decode(torch::ScalarType dtype) const {
  const int64_t n = rows(), least = device_.is_cuda() ? 8192 : 512;
  const int64_t block = (least + group() - 1) / group() * group();
  torch::Tensor x_Lnw;
  if (n <= block) {
    x_Lnw = decode_block(0, n, dtype);
  } else {
    for (int64_t from = 0; from < n; from += block) {
      const int64_t count = std::min(block, n - from);
      const auto x_Lmw = decode_block(from, count, dtype);
      if (from == 0) x_Lnw = torch::empty({x_Lmw.size(0), n, x_Lmw.size(2)}, x_Lmw.options());
      x_Lnw.narrow(1, from, count).copy_(x_Lmw);
    }
  }
  return coded_.outliers.defined() ? coded_.outliers.put_into(x_Lnw) : x_Lnw;
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
  auto rooms = std::move(rooms_);  // stay as they are
  change_tokens([&](const torch::Tensor& part) { return part.narrow(1, 0, most(left)); });
  rooms_ = std::move(rooms);
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
  rooms_.clear();
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
