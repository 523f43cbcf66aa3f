#include "state/storage.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

int64_t aligned_up(int64_t tokens) {
  return (tokens + TokenStorage::kAlignment - 1) / TokenStorage::kAlignment * TokenStorage::kAlignment;
}

// A quarter more than the window: the kept tokens are moved to the front once in so many steps.
int64_t capacity_with(int64_t window, int64_t capacity) {
  return window > 0 ? std::min(capacity, window + window / 4 + 64) : capacity;
}

class DenseStorage final : public TokenStorage {
 public:
  explicit DenseStorage(const StorageNeeds& needs)
      : heads_(needs.slot.heads),
        window_(needs.window),
        tokens_(
            torch::zeros({needs.B, aligned_up(capacity_with(needs.window, needs.capacity)), needs.slot.width},
                         needs.options)),
        room_(tokens_.size(1)) {}

  void append(const torch::Tensor& x_BTW) override { place(x_BTW.size(1)).x_PTW.copy_(x_BTW); }

  TokenPlace place(int64_t T) override {
    make_room(T);
    const auto place_BTW = tokens_.narrow(1, length_, T);
    const int64_t seen = window_ > 0 ? std::min(length_, window_ - 1) : length_;
    length_ += T;
    shown_ = seen + T;
    return {place_BTW, {}};
  }

  torch::Tensor read() const override { return tokens_.narrow(1, length_ - shown_, shown_); }

  torch::Tensor read_aligned() const override {
    const int64_t begin = length_ - shown_;
    return tokens_.narrow(1, begin, std::min(aligned_up(shown_), tokens_.size(1) - begin));
  }

  int64_t shown() const override { return shown_; }
  int64_t length() const override { return length_; }
  bool forgets() const override { return window_ > 0; }

  void keep(const torch::Tensor& index_BhK, const torch::Tensor&) override {
    const int64_t B = tokens_.size(0), K = index_BhK.size(2);
    const auto chosen = rows_at(index_BhK).view({B, K, tokens_.size(2)});
    // Most of the room is not needed any more.
    if (const int64_t room = aligned_up(K + kSpare); 2 * room <= tokens_.size(1)) {
      tokens_ = torch::zeros({B, room, tokens_.size(2)}, tokens_.options());
      may_grow_ = true;
    }
    tokens_.narrow(1, 0, K).copy_(chosen);
    length_ = shown_ = K;
  }

  // What no later token can see goes, and so does the room that a long prompt took.
  void settle(const SettledPass& pass) override {
    if (window_ == 0) return;
    shown_ = std::min(shown_, window_);
    if (pass.goes_on || tokens_.size(1) <= room_) return;
    const auto last = read();
    tokens_ = torch::zeros({tokens_.size(0), room_, tokens_.size(2)}, tokens_.options());
    tokens_.narrow(1, 0, shown_).copy_(last);
    length_ = shown_;
  }

  void select_rows(const torch::Tensor& rows) override { tokens_ = tokens_.index_select(0, rows); }

  void truncate(int64_t length) override {
    ATTNLAB_CHECK(window_ == 0 && length >= 0 && length <= length_);
    length_ = shown_ = length;
  }

  std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length,
                                       int64_t capacity) const override {
    const auto& second = dynamic_cast<const DenseStorage&>(other);
    ATTNLAB_CHECK(window_ == second.window_);
    if (window_ > 0) length = std::min(length, std::max(length_, second.length_));
    auto out = std::make_unique<DenseStorage>(*this);
    out->length_ = out->shown_ = length;
    const int64_t rows = tokens_.size(0);
    const int64_t room = aligned_up(std::max(length, capacity_with(window_, capacity)));
    out->room_ = room;
    out->tokens_ = torch::zeros({rows + second.tokens_.size(0), room, tokens_.size(2)}, tokens_.options());
    copy_last(*this, length, out->tokens_.narrow(0, 0, rows));
    copy_last(second, length, out->tokens_.narrow(0, rows, second.tokens_.size(0)));
    return out;
  }

  std::unique_ptr<TokenStorage> clone() const override {
    auto out = std::make_unique<DenseStorage>(*this);
    out->tokens_ = tokens_.clone();
    return out;
  }

  std::vector<torch::Tensor> parts() const override { return {read()}; }

 private:
  static constexpr int64_t kSpare = 64;

  // The numbers of shown tokens, in whole rows: gathering number by number takes ten times as long on a CPU.
  torch::Tensor rows_at(const torch::Tensor& index_BhK) const {
    const bool alike = index_BhK.size(1) == 1 || index_BhK.stride(1) == 0;  // for all heads
    const int64_t heads = alike ? 1 : heads_, room = tokens_.size(1);
    const auto of_first = torch::arange(tokens_.size(0), index_BhK.options()).view({-1, 1, 1}) * room;
    const auto tokens_BKh = (index_BhK.narrow(1, 0, heads) + of_first + (length_ - shown_)).transpose(1, 2);
    const auto rows = tokens_BKh * heads + torch::arange(heads, index_BhK.options());
    return tokens_.view({-1, tokens_.size(2) / heads}).index_select(0, rows.flatten());
  }

  // Moves what is still shown to the front, into a larger tensor if T new tokens need one.
  void make_room(int64_t T) {
    if (length_ + T <= tokens_.size(1)) return;
    ATTNLAB_CHECK(window_ > 0 || may_grow_);
    const int64_t kept = window_ > 0 ? std::min(length_, window_ - 1) : length_;
    const auto last = tokens_.narrow(1, length_ - kept, kept).clone();
    if (kept + T > tokens_.size(1))
      tokens_ = torch::zeros(
          {tokens_.size(0), aligned_up(kept + T + (window_ > 0 ? 0 : kept / 4 + kSpare)), tokens_.size(2)},
          tokens_.options());
    tokens_.narrow(1, 0, kept).copy_(last);
    length_ = kept;
  }

  // To the end of the first `length` tokens of `to`.
  static void copy_last(const DenseStorage& from, int64_t length, torch::Tensor to) {
    const int64_t kept = std::min(length, from.length_);
    to.narrow(1, length - kept, kept).copy_(from.tokens_.narrow(1, from.length_ - kept, kept));
  }

  int64_t heads_, window_;
  torch::Tensor tokens_;
  int64_t room_;  // columns that were asked for, with a window
  int64_t length_ = 0, shown_ = 0;
  bool may_grow_ = false;  // less was allocated than was asked for
};

class DenseForm final : public StorageForm {
 public:
  std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const override {
    return std::make_unique<DenseStorage>(needs);
  }
  double bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const override {
    return static_cast<double>(tokens) * static_cast<double>(slot.width * element_bytes);
  }
  bool as_computed() const override { return true; }
};

}  // namespace

int64_t TokenStorage::bytes() const {
  int64_t total = 0;
  for (const auto& part : parts()) total += part.numel() * part.element_size();
  return total;
}

StoragePlan dense_storage() {
  static const auto form = std::make_shared<const DenseForm>();
  return form;
}

}  // namespace attnlab
