// Storages of two layers that keep one direction for each token (minicache.h).
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "core/errors.h"
#include "state/minicache.h"
#include "state/storage_forms.h"

namespace attnlab {
namespace {

// Rows [B, K] of x [B, n, …].
torch::Tensor rows_of(const torch::Tensor& x, const torch::Tensor& index_BK) {
  auto shape = x.sizes().vec();
  shape[1] = index_BK.size(1);
  std::vector<int64_t> one(shape.size(), 1);
  one[0] = shape[0], one[1] = shape[1];
  return x.gather(1, index_BK.view(one).expand(shape));
}

// The last `length` rows of x [B, n, …], or as many with zeros in front.
torch::Tensor last_rows(const torch::Tensor& x, int64_t length) {
  if (x.size(1) >= length) return x.narrow(1, x.size(1) - length, length);
  auto shape = x.sizes().vec();
  shape[1] = length - x.size(1);
  return torch::cat({torch::zeros(shape, x.options()), x}, 1);
}

// Of two windows; 0: all tokens.
int64_t wider(int64_t a, int64_t b) { return a == 0 || b == 0 ? 0 : std::max(a, b); }

// One slot of both layers. All that happens to rows and tokens happens to the lower layer's storage first,
// which carries it out, and to the upper one's behind it, which finds it done.
class MergedPair {
 public:
  MergedPair(const StorageNeeds& needs, const StorageConfig& config)
      : t_(config.merge_at), gamma_(config.retain) {
    const auto none = [&](std::vector<int64_t> shape) { return torch::empty(shape, needs.options); };
    const int64_t B = needs.B, W = needs.slot.width;
    direction_ = none({B, 0, W});
    for (auto& side : sides_) side = {none({B, 0}), none({B, 0, W}), none({B, 0, W}), needs.window};
    index_Bm_ = torch::empty({B, 0}, needs.options.dtype(torch::kInt32));
  }

  void set_window(size_t side, int64_t window) { sides_[side].window = window; }

  void append(size_t side, const torch::Tensor& x_BTW) {
    auto& [norm, kept, waiting, window, shown] = sides_[side];
    const int64_t before = length(side), T = x_BTW.size(1);
    shown = (window > 0 ? std::min(before, window - 1) : before) + T;
    waiting = torch::cat({waiting, x_BTW.to(waiting.scalar_type())}, 1);
  }
  int64_t length(size_t side) const { return direction_.size(1) + sides_[side].waiting.size(1); }

  int64_t shown(size_t side) const { return sides_[side].shown; }

  torch::Tensor read(size_t side) const {
    const Side& of = sides_[side];
    const auto all = torch::cat({merged_and_kept(of), of.waiting}, 1);
    return all.narrow(1, all.size(1) - of.shown, of.shown);
  }

  // Behind the upper layer's part of a pass that ends a prompt or is a step.
  void merge(const SettledPass& pass) {
    const auto &a = sides_[0].waiting, &b = sides_[1].waiting;
    ATTNLAB_CHECK(a.size(1) == b.size(1));
    if (a.size(1) == 0) return;
    const MergedTokens merged = merge_tokens(a, b, t_);
    const auto real = tokens_of(pass, a.size(1), a.size(0));
    if (!bound_B1_.defined()) bound_B1_ = retain_bound(merged.angle, real, gamma_, RetainRule::far);
    auto stays = retained(merged, bound_B1_, RetainRule::far);
    if (real.defined()) stays = stays.logical_and(real);
    add_kept(stays);
    direction_ = torch::cat({direction_, merged.direction.to(direction_.scalar_type())}, 1);
    const torch::Tensor norms[] = {merged.norm_a, merged.norm_b};
    for (size_t side = 0; side < 2; ++side) {
      sides_[side].norm = torch::cat({sides_[side].norm, norms[side].to(direction_.scalar_type())}, 1);
      sides_[side].waiting = sides_[side].waiting.narrow(1, 0, 0);
    }
    forget_what_no_window_shows();
  }

  void keep(const torch::Tensor& index_BK) {
    if (!bound_B1_.defined()) {
      for (auto& side : sides_) side.waiting = rows_of(side.waiting, index_BK), side.shown = index_BK.size(1);
      return;
    }
    merge({});
    // Where each token stands then; one place more, for entries that name none.
    const int64_t n = direction_.size(1), K = index_BK.size(1);
    auto moved = torch::full({index_BK.size(0), n + 1}, -1, index_BK.options());
    moved.scatter_(1, index_BK, torch::arange(K, index_BK.options()).expand_as(index_BK));
    const auto held = torch::where(index_Bm_ < 0, n, index_Bm_).to(torch::kInt64);
    index_Bm_ = moved.gather(1, held).to(torch::kInt32);
    direction_ = rows_of(direction_, index_BK);
    for (auto& side : sides_) side.norm = rows_of(side.norm, index_BK), side.shown = K;
    squeeze_kept();
  }

  void select_rows(const torch::Tensor& rows) {
    each_tensor(*this, [&](torch::Tensor& x) {
      if (x.defined()) x = x.index_select(0, rows);
    });
  }

  std::shared_ptr<MergedPair> joined(const MergedPair& other, int64_t length) const {
    auto out = std::make_shared<MergedPair>(*this);
    MergedPair below = other;
    for (auto* pair : {out.get(), &below})
      pair->lengthen(length, std::max(index_Bm_.size(1), other.index_Bm_.size(1)));
    std::vector<torch::Tensor> tensors;
    each_tensor(below, [&](torch::Tensor& x) { tensors.push_back(x); });
    size_t i = 0;
    each_tensor(*out, [&](torch::Tensor& x) { x = torch::cat({x, tensors[i++]}); });
    return out;
  }

  // Of the lower layer with what both share.
  std::vector<torch::Tensor> parts(size_t side) const {
    const Side& of = sides_[side];
    std::vector<torch::Tensor> all{of.norm, of.kept, of.waiting};
    if (side == 0) all.insert(all.end(), {direction_, index_Bm_});
    return all;
  }

  // The copy that the lower layer's storage made of this last, for the upper one's.
  std::weak_ptr<MergedPair> successor;

 private:
  struct Side {
    torch::Tensor norm;     // [B, n]
    torch::Tensor kept;     // [B, m, W]: tokens that stay as they came
    torch::Tensor waiting;  // [B, T, W]: not merged yet
    int64_t window = 0, shown = 0;
  };

  template <class Self, class Visitor>
  static void each_tensor(Self& self, Visitor&& visit) {
    visit(self.direction_), visit(self.index_Bm_), visit(self.bound_B1_);
    for (auto& side : self.sides_) visit(side.norm), visit(side.kept), visit(side.waiting);
  }

  // bool [B, T]: which of the last T columns hold tokens; undefined: all.
  torch::Tensor tokens_of(const SettledPass& pass, int64_t T, int64_t B) const {
    if (pass.valid_BhS.defined()) {
      const auto valid_BS = pass.valid_BhS.select(1, 0);
      return valid_BS.narrow(1, valid_BS.size(1) - T, T);
    }
    if (!pass.padding_B1.defined() || bound_B1_.defined()) return {};
    return (torch::arange(T, pass.padding_B1.options()) >= pass.padding_B1).expand({B, T});
  }

  // Of the waiting tokens those at `stays` [B, T] are kept beside.
  void add_kept(const torch::Tensor& stays_BT) {
    const int64_t n = direction_.size(1), m = stays_BT.sum(1).max().item<int64_t>();
    if (m == 0) return;
    const auto order =
        stays_BT.logical_not().to(torch::kInt32).argsort(/*stable=*/true, /*dim=*/1).narrow(1, 0, m);
    const auto index = torch::where(stays_BT.gather(1, order), order + n, -1).to(torch::kInt32);
    index_Bm_ = torch::cat({index_Bm_, index}, 1);
    for (auto& side : sides_) side.kept = torch::cat({side.kept, rows_of(side.waiting, order)}, 1);
    squeeze_kept();
  }

  // Entries that name no token leave, as far as no row needs the room.
  void squeeze_kept() {
    const auto named = index_Bm_ >= 0;
    const int64_t m = named.numel() > 0 ? named.sum(1).max().item<int64_t>() : 0;
    if (m == index_Bm_.size(1)) return;
    const auto order =
        named.logical_not().to(torch::kInt32).argsort(/*stable=*/true, /*dim=*/1).narrow(1, 0, m);
    index_Bm_ = index_Bm_.gather(1, order);
    for (auto& side : sides_) side.kept = rows_of(side.kept, order);
  }

  void forget_what_no_window_shows() {
    const int64_t window = wider(sides_[0].window, sides_[1].window), n = direction_.size(1);
    if (window == 0 || n <= window) return;
    direction_ = last_rows(direction_, window);
    for (auto& side : sides_) {
      side.norm = last_rows(side.norm, window);
      side.shown = std::min(side.shown, window);
    }
    index_Bm_ = (index_Bm_ - (n - window)).clamp_min(-1);
    squeeze_kept();
  }

  torch::Tensor merged_and_kept(const Side& of) const {
    const auto read = read_merged(direction_, of.norm);
    if (index_Bm_.size(1) == 0) return read;
    // One place more, for entries that name no token.
    const int64_t n = direction_.size(1), W = direction_.size(2);
    auto out = torch::constant_pad_nd(read, {0, 0, 0, 1});
    const auto index =
        torch::where(index_Bm_ < 0, n, index_Bm_).to(torch::kInt64).unsqueeze(2).expand({-1, -1, W});
    return out.scatter(1, index, of.kept).narrow(1, 0, n);
  }

  void lengthen(int64_t length, int64_t kept) {
    const int64_t more = length - direction_.size(1);
    direction_ = last_rows(direction_, length);
    index_Bm_ = torch::where(index_Bm_ < 0, index_Bm_, index_Bm_ + more).to(torch::kInt32);
    index_Bm_ = torch::constant_pad_nd(index_Bm_, {0, kept - index_Bm_.size(1)}, -1);
    for (auto& side : sides_) {
      ATTNLAB_CHECK(side.waiting.size(1) == 0);
      side.norm = last_rows(side.norm, length), side.shown = length;
      side.kept = torch::constant_pad_nd(side.kept, {0, 0, 0, kept - side.kept.size(1)});
    }
  }

  double t_, gamma_;
  torch::Tensor direction_;  // [B, n, W]
  torch::Tensor index_Bm_;   // int32: the tokens that `kept` are; -1: none
  torch::Tensor bound_B1_;   // the prompt's; undefined before its end
  Side sides_[2];
};

class MergedStorage final : public TokenStorage {
 public:
  MergedStorage(std::shared_ptr<MergedPair> pair, size_t side) : pair_(std::move(pair)), side_(side) {}

  void append(const torch::Tensor& x_BTW) override { pair_->append(side_, x_BTW); }
  torch::Tensor read() const override { return pair_->read(side_); }
  int64_t shown() const override { return pair_->shown(side_); }
  int64_t length() const override { return pair_->length(side_); }
  bool forgets() const override { return true; }
  void keep(const torch::Tensor& index_BhK, const torch::Tensor&) override {
    // The upper layer chooses last, as the lower one did: only then do both have the pass's tokens.
    if (side_ == 1) pair_->keep(index_BhK.select(1, 0));
  }
  void settle(const SettledPass& pass) override {
    if (side_ == 1 && !pass.goes_on) pair_->merge(pass);
  }
  void select_rows(const torch::Tensor& rows) override {
    if (side_ == 0) pair_->select_rows(rows);
  }
  void truncate(int64_t) override { ATTNLAB_CHECK(!"merged tokens come back from a mark alone"); }
  std::unique_ptr<TokenStorage> joined(const TokenStorage& other, int64_t length, int64_t) const override {
    return followed([&] { return pair_->joined(*dynamic_cast<const MergedStorage&>(other).pair_, length); });
  }
  std::unique_ptr<TokenStorage> clone() const override {
    return followed([&] { return std::make_shared<MergedPair>(*pair_); });
  }
  std::vector<torch::Tensor> parts() const override { return pair_->parts(side_); }

 private:
  template <class Make>
  std::unique_ptr<TokenStorage> followed(Make&& make) const {
    std::shared_ptr<MergedPair> next = side_ == 0 ? make() : pair_->successor.lock();
    ATTNLAB_CHECK(next);
    if (side_ == 0) pair_->successor = next;
    return std::make_unique<MergedStorage>(std::move(next), side_);
  }

  std::shared_ptr<MergedPair> pair_;
  size_t side_;
};

// Pairs of the upper half of the layers; an odd last one stays alone, as do those below.
class MinicacheForm final : public StorageForm {
 public:
  explicit MinicacheForm(const StorageConfig& config) : config_(config) {}

  StoragePlan for_states(size_t n_layers) const override {
    auto own = std::make_shared<MinicacheForm>(*this);
    own->n_layers_ = n_layers;
    own->pairs_ = std::make_shared<Pairs>();
    return own;
  }
  StoragePlan of_layer(size_t layer, size_t n_layers) const override {
    return std::make_shared<MinicacheForm>(of_layer_in(layer, n_layers));
  }
  bool over_layers() const override { return true; }
  // What one layer of a pair can see, both hold.
  int64_t window_of(size_t layer, const std::vector<int64_t>& windows) const override {
    const auto own = of_layer_in(layer, windows.size());
    if (!own.merges()) return windows.at(layer);
    return wider(windows.at(layer), windows.at(own.is_upper() ? layer - 1 : layer + 1));
  }

  std::unique_ptr<TokenStorage> make(const StorageNeeds& needs) const override {
    if (!merges()) return dense_storage()->make(needs);
    ATTNLAB_CHECK(pairs_ && !needs.by_head);
    auto& pair = (*pairs_)[{(layer_ - start()) / 2, needs.slot.name}];
    if (is_upper()) pair->set_window(1, needs.window);
    if (!is_upper()) pair = std::make_shared<MergedPair>(needs, config_);
    return std::make_unique<MergedStorage>(pair, is_upper() ? 1 : 0);
  }

  // With as many tokens kept as there would be if angles were spread evenly.
  double bytes(const StateSlot& slot, int64_t tokens, int64_t element_bytes) const override {
    const auto n = static_cast<double>(tokens), e = static_cast<double>(element_bytes);
    const auto W = static_cast<double>(slot.width);
    if (!merges()) return n * W * e;
    const double kept = config_.retain * n;
    return n * e + kept * W * e + (is_upper() ? 0 : n * W * e + kept * 4);
  }

 private:
  MinicacheForm of_layer_in(size_t layer, size_t n_layers) const {
    MinicacheForm own(*this);
    own.layer_ = layer, own.n_layers_ = n_layers;
    return own;
  }

  using Pairs = std::map<std::pair<size_t, std::string>, std::shared_ptr<MergedPair>>;
  size_t start() const {
    return config_.merge_from >= 0 ? static_cast<size_t>(config_.merge_from) : n_layers_ / 2;
  }
  bool merges() const {
    return layer_ >= start() && layer_ < start() + (n_layers_ - std::min(n_layers_, start())) / 2 * 2;
  }
  bool is_upper() const { return (layer_ - start()) % 2 == 1; }

  StorageConfig config_;
  size_t layer_ = 0, n_layers_ = 0;
  std::shared_ptr<Pairs> pairs_;  // of the states that are being made
};

}  // namespace

StoragePlan minicache_storage(const StorageConfig& config) {
  return std::make_shared<const MinicacheForm>(config);
}

}  // namespace attnlab
