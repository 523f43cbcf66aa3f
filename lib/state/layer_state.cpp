#include "state/layer_state.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {

// All that can't be undone by cutting the newest tokens off.
struct LayerState::Mark {
  int64_t columns = 0, kept = 0;
  std::vector<torch::Tensor> fixed;
  std::vector<std::unique_ptr<TokenStorage>> storages;  // where tokens may be dropped
  torch::Tensor places_BhS, valid_BhS, scores_BhS;
};

namespace {

bool drops(const CachePlan& plan, const std::vector<std::unique_ptr<TokenStorage>>& storages) {
  return !plan.policy->keeps_all() ||
         std::any_of(storages.begin(), storages.end(), [](const auto& s) { return s && s->forgets(); });
}

// [B, h, S] → the last `length` of S, or as many with zeros in front.
torch::Tensor last_of(const torch::Tensor& x_BhS, int64_t length) {
  const int64_t S = x_BhS.size(2);
  if (S >= length) return x_BhS.narrow(2, S - length, length);
  return torch::constant_pad_nd(x_BhS, {length - S, 0}, 0);
}

}  // namespace

LayerState::LayerState(StateLayout layout, int64_t B, int64_t capacity, torch::TensorOptions options,
                       int64_t window, const CachePlan& plan)
    : layout_(std::move(layout)), plan_(plan), fixed_(layout_.size()), first_(layout_.size()) {
  ATTNLAB_CHECK(!policy_problem(*plan.policy, layout_));
  // A policy that drops tokens leaves the window to the mask.
  const int64_t visible = plan.policy->keeps_all() ? window : 0;
  for (size_t i = 0; i < layout_.size(); ++i) {
    const StateSlot& slot = layout_[i];
    ATTNLAB_CHECK(slot.heads > 0 && slot.width % slot.heads == 0);
    storages_.push_back(nullptr);
    if (slot.extent == Extent::fixed) {
      fixed_[i] = torch::zeros({B, slot.heads, slot.width / slot.heads}, options.dtype(torch::kFloat32));
    } else {
      storages_[i] = plan_.storage({slot, B, capacity, options, visible});
      first_ = std::min(first_, i);
    }
  }
}

int64_t LayerState::choice_heads() const { return plan_.policy->by_head() ? layout_[first_].heads : 1; }

// The new tokens' columns, behind those of the held ones.
void LayerState::extend_places(int64_t B, int64_t T, torch::Device device) {
  const auto columns_T = torch::arange(columns_, columns_ + T, torch::dtype(torch::kInt64).device(device));
  const auto places = columns_T.expand({B, choice_heads(), T});
  const auto valid = torch::ones_like(places, torch::kBool);
  places_BhS_ = places_BhS_.defined() ? torch::cat({places_BhS_, places}, 2) : places.contiguous();
  valid_BhS_ = valid_BhS_.defined() ? torch::cat({valid_BhS_, valid}, 2) : valid;
  if (scores_BhS_.defined()) scores_BhS_ = torch::constant_pad_nd(scores_BhS_, {0, T}, 0);
}

void LayerState::begin_slot(size_t slot, int64_t B, int64_t T, torch::Device device) {
  if (slot != first_) return;
  if (!plan_.policy->keeps_all()) extend_places(B, T, device);
  appended_ = T;
}

torch::Tensor LayerState::by_heads(size_t slot, const torch::Tensor& x_BSW) const {
  return x_BSW.view({x_BSW.size(0), x_BSW.size(1), layout_.at(slot).heads, -1}).transpose(1, 2);
}

torch::Tensor LayerState::shown(size_t slot, bool heads) {
  const auto all_BSW = storages_.at(slot)->read();
  if (slot == first_) kept_ = all_BSW.size(1);
  if (slot + 1 == layout_.size() || std::none_of(storages_.begin() + static_cast<std::ptrdiff_t>(slot) + 1,
                                                 storages_.end(), [](const auto& s) { return s != nullptr; }))
    columns_ += appended_;  // a token counts once every slot has it
  return heads ? by_heads(slot, all_BSW) : all_BSW;
}

torch::Tensor LayerState::remember(size_t slot, const torch::Tensor& x) {
  const bool heads = x.dim() == 4;
  ATTNLAB_CHECK(!heads || x.size(1) == layout_.at(slot).heads);
  begin_slot(slot, x.size(0), heads ? x.size(2) : x.size(1), x.device());
  storages_.at(slot)->append(heads ? x.transpose(1, 2).flatten(2) : x);
  return shown(slot, heads);
}

torch::Tensor LayerState::place(size_t slot, int64_t T) {
  const auto place_BTW = storages_.at(slot)->place(T);
  if (!place_BTW.defined()) return {};
  begin_slot(slot, place_BTW.size(0), T, place_BTW.device());
  return by_heads(slot, place_BTW);
}

void LayerState::replace(size_t slot, const torch::Tensor& value) {
  ATTNLAB_CHECK(fixed_.at(slot).defined() && fixed_[slot].sizes() == value.sizes());
  fixed_[slot] = value.to(torch::kFloat32);
}

void LayerState::settle(const Sequence& sequence) {
  // A layer without per-token slots counts columns here.
  if (first_ == layout_.size()) columns_ = sequence.S();
  ATTNLAB_CHECK(columns_ == sequence.S());
  if (plan_.policy->keeps_all()) return;
  if (sequence.padding_B1().defined())
    valid_BhS_ = valid_BhS_.logical_and(places_BhS_ >= sequence.padding_B1().unsqueeze(1));
  const HeldTokens held{places_BhS_, valid_BhS_, appended_, sequence, looked_};
  const auto stays = plan_.policy->choose(held, scores_BhS_);
  looked_.reset();
  if (stays.defined()) keep(stays.logical_and(valid_BhS_));
}

// Rows keep different numbers of tokens: shorter ones have gaps on the left that count as invalid.
void LayerState::keep(const torch::Tensor& stays_BhS) {
  const int64_t K = stays_BhS.sum(2).max().item<int64_t>(), S = stays_BhS.size(2);
  const auto order_BhS = stays_BhS.to(torch::kInt64).argsort(/*stable=*/true, /*dim=*/2);
  const auto index_BhK = order_BhS.narrow(2, S - K, K);
  places_BhS_ = places_BhS_.gather(2, index_BhK);
  valid_BhS_ = stays_BhS.gather(2, index_BhK);
  if (scores_BhS_.defined()) scores_BhS_ = scores_BhS_.gather(2, index_BhK);
  for (size_t i = 0; i < layout_.size(); ++i)
    if (storages_[i]) storages_[i]->keep(index_BhK.expand({-1, layout_[i].heads, -1}));
  kept_ = K;
}

void LayerState::select_rows(const torch::Tensor& rows) {
  for (auto& storage : storages_)
    if (storage) storage->select_rows(rows);
  for (auto* tensor : {&places_BhS_, &valid_BhS_, &scores_BhS_})
    if (tensor->defined()) *tensor = tensor->index_select(0, rows);
  for (auto& value : fixed_)
    if (value.defined()) value = value.index_select(0, rows);
  mark_.reset();
}

LayerState LayerState::joined(const LayerState& first, const LayerState& second, int64_t length,
                              int64_t capacity) {
  ATTNLAB_CHECK(first.layout_.size() == second.layout_.size() && first.plan_.policy == second.plan_.policy);
  LayerState out;
  out.layout_ = first.layout_;
  out.plan_ = first.plan_;
  out.first_ = first.first_;
  out.columns_ = length;
  const bool all = first.plan_.policy->keeps_all();
  const int64_t held = all ? length : std::max(first.kept_, second.kept_);
  for (size_t i = 0; i < first.layout_.size(); ++i) {
    const bool fixed = first.fixed_[i].defined();
    out.fixed_.push_back(fixed ? torch::cat({first.fixed_[i], second.fixed_[i]}) : torch::Tensor());
    out.storages_.push_back(fixed ? nullptr : first.storages_[i]->joined(*second.storages_[i], held, capacity));
  }
  if (out.first_ < out.layout_.size()) out.kept_ = out.storages_[out.first_]->length();
  if (all) return out;
  // Columns count from the left, and both batches end in the same one now.
  const auto moved = [&](const LayerState& state) {
    return last_of(state.places_BhS_ + (length - state.columns_), held);
  };
  out.places_BhS_ = torch::cat({moved(first), moved(second)});
  out.valid_BhS_ = torch::cat({last_of(first.valid_BhS_, held), last_of(second.valid_BhS_, held)});
  if (first.scores_BhS_.defined())
    out.scores_BhS_ = torch::cat({last_of(first.scores_BhS_, held), last_of(second.scores_BhS_, held)});
  return out;
}

void LayerState::mark() {
  auto mark = std::make_shared<Mark>();
  mark->columns = columns_;
  mark->kept = kept_;
  mark->fixed = fixed_;
  if (drops(plan_, storages_))
    for (const auto& storage : storages_) mark->storages.push_back(storage ? storage->clone() : nullptr);
  mark->places_BhS = places_BhS_;
  mark->valid_BhS = valid_BhS_;
  mark->scores_BhS = scores_BhS_;
  mark_ = std::move(mark);
}

void LayerState::rewind(int64_t length) {
  ATTNLAB_CHECK(length >= 0 && length <= columns_);
  const bool has_fixed = std::any_of(fixed_.begin(), fixed_.end(), [](const auto& t) { return t.defined(); });
  if (length == columns_) return;
  if (has_fixed || drops(plan_, storages_)) {
    ATTNLAB_CHECK(mark_ && mark_->columns == length);
    fixed_ = mark_->fixed;
    for (size_t i = 0; i < mark_->storages.size(); ++i)
      if (mark_->storages[i]) storages_[i] = mark_->storages[i]->clone();
    places_BhS_ = mark_->places_BhS;
    valid_BhS_ = mark_->valid_BhS;
    scores_BhS_ = mark_->scores_BhS;
  }
  if (!drops(plan_, storages_))
    for (auto& storage : storages_)
      if (storage) storage->truncate(length);
  columns_ = length;
  kept_ = first_ < layout_.size() ? storages_[first_]->length() : 0;
}

int64_t LayerState::bytes() const {
  int64_t total = 0;
  for (const auto& storage : storages_)
    if (storage) total += storage->bytes();
  for (const auto& value : fixed_)
    if (value.defined()) total += value.numel() * value.element_size();
  return total;
}

}  // namespace attnlab
