#include "state/coded_storage.h"

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "state/coded_table.h"
#include "state/lanes.h"

namespace attnlab {
namespace {

// Tokens of each lane: as they came, coded, as they came. Lanes hold different numbers of them where rows are
// padded or heads keep tokens of their own; a lane's last token stands in the last column. Until a prompt has
// settled, all its columns count as tokens, gaps included.
class CodedStorage final : public TokenStorage {
 public:
  CodedStorage(const StorageNeeds& needs, const std::shared_ptr<const TokenCodec>& codec,
               const CodingRule& rule)
      : rule_(rule),
        group_(codec->tokens_per_group()),
        per_row_(needs.by_head ? needs.slot.heads : 1),
        window_(needs.window),
        first_(torch::empty({needs.B * per_row_, 0, needs.slot.width / per_row_}, needs.options)),
        last_(first_),
        coded_(codec, first_, per_row_),
        firsts_(coded_.counts()),
        lasts_(firsts_),
        owed_(firsts_.size(), rule.first) {
    ATTNLAB_CHECK(rule.step % group_ == 0);
  }

  void append(const torch::Tensor& x_BTW) override {
    read_BSW_.reset();
    const int64_t T = x_BTW.size(1);
    const auto x_BThw = x_BTW.to(last_.scalar_type()).unflatten(2, {per_row_, last_.size(2)});
    last_ = with_more(last_, lasts_, x_BThw.transpose(1, 2).flatten(0, 1), Counts(lasts_.size(), T));
    for (auto& count : lasts_) count += T;
    shown_ = (window_ > 0 ? std::min(columns_, window_ - 1) : columns_) + T;
    columns_ += T;
    if (!prompting_ && rule_.at_once) code_oldest();
  }

  // Decoded once a pass, however often it is read.
  torch::Tensor read() const override {
    if (!read_BSW_.defined()) read_BSW_ = by_columns().unflatten(0, {-1, per_row_}).transpose(1, 2).flatten(2);
    return read_BSW_.narrow(1, columns_ - shown_, shown_);
  }

  int64_t shown() const override { return shown_; }

  std::optional<CodedLatent> read_coded() const override {
    if (prompting_ || per_row_ > 1 || most(firsts_) > 0 || most(lasts_) > 0) return std::nullopt;
    auto latent = coded_.latent();
    if (!latent) return std::nullopt;
    Counts gaps(coded_.counts());
    for (auto& gap : gaps) gap = shown_ - gap;
    if (alike(gaps) && gaps.front() <= 0) {
      for (auto* part : {&latent->codes_BPR, &latent->scales_BPg, &latent->rest_BPr})
        *part = part->narrow(1, -gaps.front(), shown_);
      return latent;
    }
    if (gaps != gaps_)
      gaps_ = gaps, gaps_B_ = counts_tensor(gaps, last_.device()).squeeze(1).to(torch::kInt32).contiguous();
    latent->gaps_B = gaps_B_;
    return latent;
  }

  int64_t length() const override { return columns_; }
  bool forgets() const override { return window_ > 0 || !rule_.at_once || group_ > 1; }

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
    read_BSW_.reset();
    const auto lanes_L = (rows.unsqueeze(1) * per_row_ + torch::arange(per_row_, rows.options())).flatten();
    coded_.select_lanes(lanes_L);
    for (auto* part : {&first_, &last_}) *part = part->index_select(0, lanes_L.to(part->device()));
    for (auto* counts : {&firsts_, &lasts_, &owed_}) *counts = selected(*counts, lanes_L);
  }

  void truncate(int64_t length) override {
    ATTNLAB_CHECK(!forgets() && length >= 0 && length <= columns_);
    read_BSW_.reset();
    Counts coded(coded_.counts());
    for (size_t l = 0; l < lasts_.size(); ++l) {
      int64_t gone = columns_ - length;
      for (int64_t* count : {&lasts_[l], &coded[l], &firsts_[l]}) {
        const int64_t here = std::min(gone, *count);
        *count -= here, gone -= here;
      }
    }
    coded_.truncate(coded);
    columns_ = shown_ = length;
  }

  std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length, int64_t) const override {
    const auto& second = dynamic_cast<const CodedStorage&>(other);
    ATTNLAB_CHECK(window_ == second.window_ && !prompting_ && !second.prompting_);
    if (window_ > 0) length = std::min(length, std::max(columns_, second.columns_));
    auto out = std::make_unique<CodedStorage>(*this);
    out->read_BSW_.reset();
    out->first_ = stacked(first_, second.first_), out->last_ = stacked(last_, second.last_);
    out->coded_.stack(second.coded_);
    const auto add = [](Counts& to, const Counts& more) { to.insert(to.end(), more.begin(), more.end()); };
    add(out->firsts_, second.firsts_), add(out->lasts_, second.lasts_), add(out->owed_, second.owed_);
    out->columns_ = out->shown_ = length;
    return out;
  }

  std::unique_ptr<TokenStorage> clone() const override { return std::make_unique<CodedStorage>(*this); }

  std::vector<torch::Tensor> parts() const override {
    auto all = coded_.parts();
    all.push_back(first_.narrow(1, 0, most(firsts_)));
    all.push_back(last_.narrow(1, 0, most(lasts_)));
    return all;
  }

 private:
  Counts held() const {
    Counts total(firsts_);
    for (size_t l = 0; l < total.size(); ++l) total[l] += coded_.counts()[l] + lasts_[l];
    return total;
  }

  // [L, S, w]: each lane's tokens, the newest in the last column.
  torch::Tensor by_columns() const {
    const auto first = first_.narrow(1, 0, most(firsts_)), last = last_.narrow(1, 0, most(lasts_));
    const auto coded = coded_.decode(last_.scalar_type());
    const auto all = torch::cat({first, coded, last}, 1);
    const Counts total = held();
    if (alike(firsts_) && alike(coded_.counts()) && alike(lasts_) && total.front() == columns_) return all;
    if (all.size(1) == 0) return torch::zeros({all.size(0), columns_, all.size(2)}, all.options());
    const auto device = all.device();
    const auto first_L1 = counts_tensor(firsts_, device), coded_L1 = counts_tensor(coded_.counts(), device);
    const auto columns_S = torch::arange(columns_, torch::dtype(torch::kInt64).device(device));
    const auto token_LS = columns_S - (columns_ - counts_tensor(total, device));
    const auto in_coded = token_LS - first_L1 + first.size(1);
    const auto in_last = token_LS - first_L1 - coded_L1 + first.size(1) + coded.size(1);
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
    Counts ready(lasts_);
    for (auto& count : ready) count = std::max<int64_t>(0, count - rule_.newest) / rule_.step * rule_.step;
    if (most(ready) == 0) return;
    coded_.append(last_.narrow(1, 0, most(ready)), ready);
    last_ = without_first(last_, lasts_, ready);
    for (size_t l = 0; l < ready.size(); ++l) lasts_[l] -= ready[l];
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

  // Of the columns index_LK those that are valid stay.
  void keep_coded(const torch::Tensor& index_LK, const torch::Tensor& valid_LK) {
    const auto device = last_.device();
    const int64_t K = index_LK.size(1), L = index_LK.size(0);
    const auto first_L1 = counts_tensor(firsts_, device), coded_L1 = counts_tensor(coded_.counts(), device);
    const auto token_LK = index_LK - (columns_ - counts_tensor(held(), device));
    const auto is_first = token_LK < first_L1, is_last = token_LK >= first_L1 + coded_L1;
    const auto count = [&](const torch::Tensor& which) { return which.logical_and(valid_LK).sum(1); };
    const auto counts_3L =
        torch::stack({count(is_first), count(is_first.logical_or(is_last).logical_not()), count(is_last)})
            .cpu();
    std::array<Counts, 3> kept;
    for (size_t i = 0; i < 3; ++i) {
      const auto* begin = counts_3L.const_data_ptr<int64_t>() + static_cast<int64_t>(i) * L;
      kept[i].assign(begin, begin + L);
    }
    // A lane's valid tokens stand at the end of index_LK: `before` others are in front of a segment.
    Counts before(static_cast<size_t>(L), K);
    for (size_t l = 0; l < before.size(); ++l) before[l] -= kept[0][l] + kept[1][l] + kept[2][l];
    const auto segment = [&](const Counts& counts, const torch::Tensor& tokens_before_L1, int64_t rows) {
      const auto steps = torch::arange(most(counts), torch::dtype(torch::kInt64).device(device));
      const auto at = (counts_tensor(before, device) + steps).clamp_max(K - 1);
      for (size_t l = 0; l < before.size(); ++l) before[l] += counts[l];
      return (token_LK.gather(1, at) - tokens_before_L1).clamp(0, std::max<int64_t>(0, rows - 1));
    };
    first_ = take_rows(first_, segment(kept[0], torch::zeros_like(first_L1), first_.size(1)));
    coded_.take(segment(kept[1], first_L1, coded_.rows()), kept[1]);
    last_ = take_rows(last_, segment(kept[2], first_L1 + coded_L1, last_.size(1)));
    firsts_ = kept[0], lasts_ = kept[2];
  }

  void forget_what_no_window_shows() {
    if (window_ == 0) return;
    Counts firsts(firsts_), coded(coded_.counts()), lasts(lasts_);
    for (size_t l = 0; l < firsts.size(); ++l) {
      int64_t gone = std::max<int64_t>(0, firsts[l] + coded[l] + lasts[l] - window_);
      firsts[l] = std::min(gone, firsts[l]), gone -= firsts[l];
      const bool all_coded = gone >= coded[l];
      coded[l] = std::min(gone, coded[l]) / group_ * group_, gone -= coded[l];
      lasts[l] = all_coded ? std::min(gone, lasts[l]) : 0;
    }
    first_ = without_first(first_, firsts_, firsts), last_ = without_first(last_, lasts_, lasts);
    coded_.drop_first(coded);
    for (size_t l = 0; l < firsts.size(); ++l) firsts_[l] -= firsts[l], lasts_[l] -= lasts[l];
    columns_ = most(held());
    shown_ = std::min(shown_, columns_);
  }

  CodingRule rule_;
  int64_t group_, per_row_, window_;
  bool prompting_ = true;
  int64_t columns_ = 0, shown_ = 0;
  torch::Tensor first_, last_;  // [L, n, w]
  CodedTable coded_;
  mutable torch::Tensor read_BSW_;
  mutable torch::Tensor gaps_B_;  // gaps_ on the device, int32
  mutable Counts gaps_;           // that read_coded told last
  Counts firsts_, lasts_;
  Counts owed_;  // tokens that are still to come and will stay as they are
};

}  // namespace

std::unique_ptr<TokenStorage> coded_storage(const StorageNeeds& needs, std::shared_ptr<const TokenCodec> codec,
                                            const CodingRule& rule) {
  return std::make_unique<CodedStorage>(needs, codec, rule);
}

}  // namespace attnlab
