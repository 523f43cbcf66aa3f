#include "state/row_storage.h"

#include "core/errors.h"

namespace attnlab {
namespace {

class RowStorage final : public TokenStorage {
 public:
  RowStorage(const StorageNeeds& needs, std::shared_ptr<const RowCursor> cursor)
      : cursor_(std::move(cursor)),
        tokens_(torch::zeros({needs.B, needs.capacity, needs.slot.width}, needs.options)) {}

  void append(const torch::Tensor& x_BTW) override {
    const RowCursor& at = *cursor_;
    const auto kept_BTW = x_BTW.to(tokens_.scalar_type());  // mixed precision may have widened it
    if (at.rows_E.defined()) {
      const int64_t T = kept_BTW.size(1), E = at.rows_E.size(0);
      sequences_ = kept_BTW.size(0);
      length_ = at.begin + T;
      tokens_.narrow(1, at.begin, T).index_copy_(0, at.rows_E, kept_BTW.expand({E, -1, -1}));
    } else {
      length_ = at.shown;
      tokens_.view({-1, tokens_.size(2)}).index_copy_(0, at.flat_B, kept_BTW.squeeze(1));
    }
  }

  TokenPlace place(int64_t T) override {
    const RowCursor& at = *cursor_;
    if (at.rows_E.defined() || T != 1) return {};
    length_ = at.shown;
    return {tokens_.view({-1, 1, tokens_.size(2)}), at.flat_B};
  }

  torch::Tensor read() const override {
    const RowCursor& at = *cursor_;
    const auto shown_BSW = tokens_.narrow(1, 0, length_);
    return at.rows_E.defined() ? shown_BSW.index_select(0, at.rows_E.narrow(0, 0, sequences_)) : shown_BSW;
  }

  int64_t shown() const override { return length_; }
  int64_t length() const override { return length_; }
  void select_rows(const torch::Tensor& rows) override { tokens_ = tokens_.index_select(0, rows); }
  std::vector<torch::Tensor> parts() const override { return {tokens_}; }

  // Only for caches that keep every token, and of batches that nobody joins or cuts.
  void keep(const torch::Tensor&, const torch::Tensor&) override { ATTNLAB_CHECK(!"tokens of a row stay"); }
  void truncate(int64_t) override { ATTNLAB_CHECK(!"a pass tells where its tokens stand"); }
  std::unique_ptr<TokenStorage> joined(const TokenStorage&, int64_t, int64_t) const override {
    ATTNLAB_CHECK(!"new sequences take places of others");
  }
  std::unique_ptr<TokenStorage> clone() const override {
    auto out = std::make_unique<RowStorage>(*this);
    out->tokens_ = tokens_.clone();
    return out;
  }

 private:
  std::shared_ptr<const RowCursor> cursor_;
  torch::Tensor tokens_;
  int64_t length_ = 0, sequences_ = 0;  // of the pass that appended last
};

class RowForm final : public StorageForm {
 public:
  explicit RowForm(std::shared_ptr<const RowCursor> cursor) : cursor_(std::move(cursor)) {}
  std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const override {
    return std::make_unique<RowStorage>(needs, cursor_);
  }
  double bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const override {
    return static_cast<double>(tokens) * static_cast<double>(slot.width * element_bytes);
  }
  bool placed_by_pass() const override { return true; }
  bool as_computed() const override { return true; }

 private:
  std::shared_ptr<const RowCursor> cursor_;
};

}  // namespace

StoragePlan row_storage(std::shared_ptr<const RowCursor> cursor) {
  return std::make_shared<const RowForm>(std::move(cursor));
}

}  // namespace attnlab
