#include "state/coded_storage.h"

#include <algorithm>

#include "core/errors.h"
#include "state/lanes.h"

namespace attnlab {
namespace {

// Tokens of each lane: as they came, coded, as they came. Lanes hold different numbers of them where rows are
// padded or heads keep tokens of their own; a lane's last token stands in the last column. Until a prompt has
// settled, all its columns count as tokens, gaps included. Tensors are replaced, never written to, so that
// copies of a storage share them.
class CodedStorage final : public TokenStorage {
 public:
  CodedStorage(const StorageNeeds& needs, std::shared_ptr<const TokenCodec> codec, const CodingRule& rule)
      : codec_(std::move(codec)),
        rule_(rule),
        per_row_(needs.by_head ? needs.slot.heads : 1),
        window_(needs.window) {
    ATTNLAB_CHECK(rule.step % codec_->tokens_per_group() == 0);
    const int64_t L = needs.B * per_row_;
    first_ = last_ = torch::empty({L, 0, needs.slot.width / per_row_}, needs.options);
    firsts_ = coded_counts_ = lasts_ = Counts(static_cast<size_t>(L), 0);
    owed_ = Counts(static_cast<size_t>(L), rule.first);
    coded_ = codec_->encode(last_, heads());
  }

  void append(const torch::Tensor& x_BTW) override {
    read_BSW_.reset();
    const int64_t T = x_BTW.size(1);
    const auto x_LTw = x_BTW.to(last_.scalar_type()).unflatten(2, {per_row_, last_.size(2)}).transpose(1, 2);
    last_ = with_more(last_, lasts_, x_LTw.flatten(0, 1), Counts(lasts_.size(), T));
    for (auto& count : lasts_) count += T;
    shown_ = (window_ > 0 ? std::min(columns_, window_ - 1) : columns_) + T;
    columns_ += T;
    if (!prompting_ && rule_.at_once) code_oldest();
  }

  // Decoded once a pass, however often it is read.
  torch::Tensor read() const override {
    if (!read_BSW_.defined()) {
      const auto all_LSw = by_columns(segments());
      read_BSW_ = all_LSw.unflatten(0, {-1, per_row_}).transpose(1, 2).flatten(2);
    }
    return read_BSW_.narrow(1, columns_ - shown_, shown_);
  }

  int64_t length() const override { return columns_; }
  bool forgets() const override { return window_ > 0 || !rule_.at_once || codec_->tokens_per_group() > 1; }

  void keep(const torch::Tensor& index_BhK, const torch::Tensor& valid_BhK) override {
    read_BSW_.reset();
    const auto in_lanes = [&](const torch::Tensor& x_BhK) {
      return (per_row_ == 1 ? x_BhK.select(1, 0) : x_BhK.expand({-1, per_row_, -1}).flatten(0, 1)).contiguous();
    };
    const auto index_LK = in_lanes(index_BhK) + (columns_ - shown_);
    if (prompting_) {
      last_ = take_rows(last_, index_LK);
      lasts_.assign(lasts_.size(), index_LK.size(1));
    } else {
      keep_coded(index_LK, in_lanes(valid_BhK));
    }
    columns_ = shown_ = index_LK.size(1);
  }

  void settle(const SettledPass& pass) override {
    read_BSW_.reset();
    if (pass.goes_on) return;
    if (prompting_) leave_gaps(pass);
    prompting_ = false;
    code_oldest();
    forget_what_no_window_shows();
  }

  void select_rows(const torch::Tensor& rows) override {
    const auto lanes_L = (rows.unsqueeze(1) * per_row_ + torch::arange(per_row_, rows.options())).flatten();
    const auto of_lanes = [&](torch::Tensor& x) {
      if (x.defined()) x = x.index_select(0, lanes_L.to(x.device()));
    };
    each_tensor(*this, of_lanes);
    const auto host = lanes_L.cpu();
    const auto* lane = host.const_data_ptr<int64_t>();
    for (Counts* counts : {&firsts_, &coded_counts_, &lasts_, &owed_}) {
      Counts chosen;
      for (int64_t i = 0; i < host.numel(); ++i) chosen.push_back(counts->at(static_cast<size_t>(lane[i])));
      *counts = std::move(chosen);
    }
  }

  void truncate(int64_t length) override {
    ATTNLAB_CHECK(!forgets() && length >= 0 && length <= columns_);
    read_BSW_.reset();
    for (size_t l = 0; l < lasts_.size(); ++l) {
      int64_t gone = columns_ - length;
      for (int64_t* count : {&lasts_[l], &coded_counts_[l], &firsts_[l]}) {
        const int64_t here = std::min(gone, *count);
        *count -= here, gone -= here;
      }
    }
    columns_ = shown_ = length;
  }

  std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length, int64_t) const override {
    const auto& second = dynamic_cast<const CodedStorage&>(other);
    ATTNLAB_CHECK(window_ == second.window_ && !prompting_ && !second.prompting_);
    if (window_ > 0) length = std::min(length, std::max(columns_, second.columns_));
    auto out = std::make_unique<CodedStorage>(*this);
    CodedStorage below = second;
    for (auto* one : {out.get(), &below})
      if (out->group_of_.defined() || below.group_of_.defined()) one->name_groups();
    std::vector<torch::Tensor> tensors;
    each_tensor(below, [&](torch::Tensor& x) { tensors.push_back(x); });
    size_t i = 0;
    each_tensor(*out, [&](torch::Tensor& x) { x = stacked(x, tensors[i++]); });
    const auto add = [](Counts& to, const Counts& more) { to.insert(to.end(), more.begin(), more.end()); };
    add(out->firsts_, second.firsts_), add(out->coded_counts_, second.coded_counts_);
    add(out->lasts_, second.lasts_), add(out->owed_, second.owed_);
    out->columns_ = out->shown_ = length;
    return out;
  }

  std::unique_ptr<TokenStorage> clone() const override { return std::make_unique<CodedStorage>(*this); }

  std::vector<torch::Tensor> parts() const override {
    std::vector<torch::Tensor> all;
    const auto cut = [&](const torch::Tensor& x, int64_t rows) {
      if (x.defined()) all.push_back(x.narrow(1, 0, rows));
    };
    cut(first_, most(firsts_)), cut(last_, most(lasts_)), cut(group_of_, most(coded_counts_));
    for (const auto& part : coded_.by_token) cut(part, most(coded_counts_));
    for (const auto& part : coded_.by_group) cut(part, part.size(1));
    return all;
  }

 private:
  template <class Self, class Visitor>
  static void each_tensor(Self& self, Visitor&& visit) {
    self.read_BSW_.reset();
    visit(self.first_), visit(self.last_), visit(self.group_of_);
    for (auto& part : self.coded_.by_token) visit(part);
    for (auto& part : self.coded_.by_group) visit(part);
  }

  int64_t lanes() const { return last_.size(0); }
  torch::Tensor heads() const {
    return torch::arange(lanes(), torch::dtype(torch::kInt64).device(last_.device())).remainder(per_row_);
  }
  Counts held() const {
    Counts total(firsts_);
    for (size_t l = 0; l < total.size(); ++l) total[l] += coded_counts_[l] + lasts_[l];
    return total;
  }

  // What stands once for several tokens, for each of them.
  torch::Tensor for_each_token(const torch::Tensor& by_group) const {
    if (group_of_.defined()) return take_rows(by_group, group_of_.to(torch::kInt64));
    return by_group.repeat_interleave(codec_->tokens_per_group(), 1);
  }

  struct Segments {
    torch::Tensor first, coded, last;  // [L, n, w]
  };
  Segments segments() const {
    CodedTokens coded = coded_;
    for (auto& part : coded.by_group) part = for_each_token(part);
    return {first_.narrow(1, 0, most(firsts_)),
            codec_->decode(coded, heads(), last_.scalar_type()).narrow(1, 0, most(coded_counts_)),
            last_.narrow(1, 0, most(lasts_))};
  }

  // [L, S, w]: each lane's tokens, the newest in the last column.
  torch::Tensor by_columns(const Segments& of) const {
    const auto all = torch::cat({of.first, of.coded, of.last}, 1);
    const Counts total = held();
    if (alike(firsts_) && alike(coded_counts_) && alike(lasts_) && total.front() == columns_) return all;
    if (all.size(1) == 0) return torch::zeros({all.size(0), columns_, all.size(2)}, all.options());
    const auto device = all.device();
    const auto first_L1 = counts_tensor(firsts_, device), coded_L1 = counts_tensor(coded_counts_, device);
    const auto columns_S = torch::arange(columns_, torch::dtype(torch::kInt64).device(device));
    const auto token_LS = columns_S - (columns_ - counts_tensor(total, device));
    const auto in_coded = token_LS - first_L1 + of.first.size(1);
    const auto in_last = token_LS - first_L1 - coded_L1 + of.first.size(1) + of.coded.size(1);
    const auto index = torch::where(token_LS < first_L1, token_LS,
                                    torch::where(token_LS < first_L1 + coded_L1, in_coded, in_last));
    return take_rows(all, index.clamp(0, all.size(1) - 1));
  }

  // At a prompt's end: columns in front of a lane's first token are no tokens.
  void leave_gaps(const SettledPass& pass) {
    torch::Tensor gaps_Bh;
    if (pass.valid_BhS.defined()) gaps_Bh = columns_ - pass.valid_BhS.sum(2);
    if (!pass.valid_BhS.defined() && pass.padding_B1.defined()) gaps_Bh = pass.padding_B1;
    if (!gaps_Bh.defined()) return;
    const auto host =
        (per_row_ == 1 ? gaps_Bh.select(1, 0) : gaps_Bh.expand({-1, per_row_})).cpu().contiguous();
    const auto* begin = host.const_data_ptr<int64_t>();
    const Counts gaps(begin, begin + host.numel());
    last_ = without_first(last_, lasts_, gaps);
    for (size_t l = 0; l < gaps.size(); ++l) lasts_[l] -= gaps[l];
  }

  void code_oldest() {
    set_first_aside();
    const int64_t step = rule_.step;
    Counts ready(lasts_);
    for (auto& count : ready) count = std::max<int64_t>(0, count - rule_.newest) / step * step;
    const int64_t n = most(ready);
    if (n == 0) return;
    const int64_t group = codec_->tokens_per_group();
    const CodedTokens more = codec_->encode(last_.narrow(1, 0, n), heads());
    const auto groups_of = [&](const Counts& tokens) {
      Counts groups(tokens);
      for (auto& count : groups) count /= group;
      return groups;
    };
    const Counts groups = groups_held(), more_groups = groups_of(ready);
    if (group_of_.defined()) {
      const auto steps_n =
          torch::arange(n, torch::dtype(torch::kInt32).device(last_.device())).floor_divide(group);
      const auto named = (counts_tensor(groups, last_.device()) + steps_n).to(torch::kInt32);
      group_of_ = with_more(group_of_, coded_counts_, named, ready);
    }
    for (size_t i = 0; i < more.by_token.size(); ++i)
      coded_.by_token[i] = with_more(coded_.by_token[i], coded_counts_, more.by_token[i], ready);
    for (size_t i = 0; i < more.by_group.size(); ++i)
      coded_.by_group[i] = with_more(coded_.by_group[i], groups, more.by_group[i], more_groups);
    last_ = without_first(last_, lasts_, ready);
    for (size_t l = 0; l < ready.size(); ++l) {
      coded_counts_[l] += ready[l], lasts_[l] -= ready[l];
      if (group_of_.defined()) groups_[l] += more_groups[l];
    }
  }

  Counts groups_held() const {
    if (group_of_.defined()) return groups_;
    Counts groups(coded_counts_);
    for (auto& count : groups) count /= codec_->tokens_per_group();
    return groups;
  }

  void set_first_aside() {
    Counts moved(lasts_);
    for (size_t l = 0; l < moved.size(); ++l) moved[l] = std::min(moved[l], owed_[l]);
    if (most(moved) == 0) return;
    first_ = with_more(first_, firsts_, last_.narrow(1, 0, most(moved)), moved);
    last_ = without_first(last_, lasts_, moved);
    for (size_t l = 0; l < moved.size(); ++l)
      firsts_[l] += moved[l], lasts_[l] -= moved[l], owed_[l] -= moved[l];
  }

  // Tokens that share numbers no longer stand side by side once some are gone: each says whose it is.
  void name_groups() {
    const int64_t group = codec_->tokens_per_group();
    if (group == 1 || group_of_.defined()) return;
    groups_ = groups_held();
    const auto steps =
        torch::arange(coded_.by_token[0].size(1), torch::dtype(torch::kInt32).device(last_.device()));
    group_of_ = steps.floor_divide(group).expand({lanes(), -1}).contiguous();
  }

  // Of the columns index_LK those that are valid stay.
  void keep_coded(const torch::Tensor& index_LK, const torch::Tensor& valid_LK) {
    name_groups();
    const auto device = last_.device();
    const int64_t K = index_LK.size(1);
    const auto first_L1 = counts_tensor(firsts_, device), coded_L1 = counts_tensor(coded_counts_, device);
    const auto token_LK = index_LK - (columns_ - counts_tensor(held(), device));
    const auto count = [&](const torch::Tensor& which) { return which.logical_and(valid_LK).sum(1); };
    const auto is_first = token_LK < first_L1, is_last = token_LK >= first_L1 + coded_L1;
    const auto counts_3L =
        torch::stack({count(is_first), count(is_first.logical_or(is_last).logical_not()), count(is_last)})
            .cpu();
    Counts kept[3];
    for (int64_t i = 0; i < 3; ++i) {
      const auto* begin = counts_3L.const_data_ptr<int64_t>() + i * lanes();
      kept[i].assign(begin, begin + lanes());
    }
    // Of each lane the valid tokens stand at the end of index_LK: `before` others are in front of a segment.
    Counts before(static_cast<size_t>(lanes()), K);
    for (size_t l = 0; l < before.size(); ++l) before[l] -= kept[0][l] + kept[1][l] + kept[2][l];
    const auto segment = [&](const Counts& counts, const torch::Tensor& tokens_before_L1, int64_t rows) {
      const auto steps = torch::arange(most(counts), torch::dtype(torch::kInt64).device(device));
      const auto at = (counts_tensor(before, device) + steps).clamp_max(K - 1);
      for (size_t l = 0; l < before.size(); ++l) before[l] += counts[l];
      return (token_LK.gather(1, at) - tokens_before_L1).clamp(0, std::max<int64_t>(0, rows - 1));
    };
    const auto firsts = segment(kept[0], torch::zeros_like(first_L1), first_.size(1));
    const auto coded = segment(kept[1], first_L1, coded_.by_token[0].size(1));
    const auto lasts = segment(kept[2], first_L1 + coded_L1, last_.size(1));
    first_ = take_rows(first_, firsts), last_ = take_rows(last_, lasts);
    for (auto& part : coded_.by_token) part = take_rows(part, coded);
    firsts_ = kept[0], coded_counts_ = kept[1], lasts_ = kept[2];
    if (group_of_.defined()) {
      group_of_ = take_rows(group_of_, coded);
      drop_groups();
    }
  }

  // Those that no token names.
  void drop_groups() {
    const int64_t M = coded_.by_group[0].size(1), n = group_of_.size(1);
    if (M == 0) return;
    const auto device = last_.device();
    const auto held_Ln =
        torch::arange(n, torch::dtype(torch::kInt64).device(device)) < counts_tensor(coded_counts_, device);
    const auto named = group_of_.to(torch::kInt64);
    const auto used_LM = torch::zeros({lanes(), M}, torch::dtype(torch::kInt64).device(device))
                             .scatter_add(1, named, held_Ln.to(torch::kInt64))
                             .clamp_max(1);
    const auto counts = used_LM.sum(1).cpu();
    groups_.assign(counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + lanes());
    const auto order = (1 - used_LM).argsort(/*stable=*/true, /*dim=*/1).narrow(1, 0, most(groups_));
    for (auto& part : coded_.by_group) part = take_rows(part, order);
    group_of_ = (used_LM.cumsum(1) - 1).clamp_min(0).gather(1, named).to(torch::kInt32);
  }

  void forget_what_no_window_shows() {
    if (window_ == 0) return;
    const int64_t group = codec_->tokens_per_group();
    Counts firsts(firsts_), coded(coded_counts_), lasts(lasts_);
    for (size_t l = 0; l < firsts.size(); ++l) {
      int64_t gone = std::max<int64_t>(0, firsts[l] + coded[l] + lasts[l] - window_);
      firsts[l] = std::min(gone, firsts[l]), gone -= firsts[l];
      const bool all_coded = gone >= coded[l];
      coded[l] = std::min(gone, coded[l]) / group * group, gone -= coded[l];
      lasts[l] = all_coded ? std::min(gone, lasts[l]) : 0;
    }
    Counts groups(coded);
    for (auto& count : groups) count /= group;
    first_ = without_first(first_, firsts_, firsts), last_ = without_first(last_, lasts_, lasts);
    for (auto& part : coded_.by_token) part = without_first(part, coded_counts_, coded);
    for (auto& part : coded_.by_group) part = without_first(part, groups_held(), groups);
    for (size_t l = 0; l < firsts.size(); ++l)
      firsts_[l] -= firsts[l], coded_counts_[l] -= coded[l], lasts_[l] -= lasts[l];
    columns_ = most(held());
    shown_ = std::min(shown_, columns_);
  }

  std::shared_ptr<const TokenCodec> codec_;
  CodingRule rule_;
  int64_t per_row_, window_;
  bool prompting_ = true;
  int64_t columns_ = 0, shown_ = 0;
  torch::Tensor first_, last_;  // [L, n, w]
  mutable torch::Tensor read_BSW_;
  CodedTokens coded_;
  torch::Tensor group_of_;  // int32 [L, n]; undefined: token i is of group i / tokens_per_group
  Counts firsts_, coded_counts_, lasts_, groups_;
  Counts owed_;  // tokens that are still to come and will stay as they are
};

}  // namespace

std::unique_ptr<TokenStorage> coded_storage(const StorageNeeds& needs, std::shared_ptr<const TokenCodec> codec,
                                            const CodingRule& rule) {
  return std::make_unique<CodedStorage>(needs, std::move(codec), rule);
}

}  // namespace attnlab
