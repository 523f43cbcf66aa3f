#include "state/layer_state.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {

// All that can't be undone by cutting the newest tokens off.
struct LayerState::Mark {
  int64_t columns = 0, kept = 0;
  std::vector<torch::Tensor> fixed;
  std::vector<std::unique_ptr<TokenStorage>> storages;  // where tokens may be dropped
  HeldPlaces held;
  bool dropped = false;
  std::vector<int64_t> prompt_tokens;
};

namespace {

bool drops(const CachePlan& plan, const std::vector<std::unique_ptr<TokenStorage>>& storages) {
  return !plan.policy->keeps_all() ||
         std::any_of(storages.begin(), storages.end(), [](const auto& s) { return s && s->forgets(); });
}

}  // namespace

LayerState::LayerState(StateLayout layout, int64_t B, int64_t capacity, torch::TensorOptions options,
                       int64_t window, const CachePlan& plan, int64_t n_heads)
    : layout_(std::move(layout)),
      plan_(plan),
      fixed_(layout_.size()),
      first_(layout_.size()),
      window_(window),
      copies_(kept_copies(*plan.policy, layout_, n_heads)),
      held_(choice_heads(*plan.policy, layout_, n_heads), plan.policy->reindexes()) {
  ATTNLAB_CHECK(!policy_problem(*plan.policy, layout_));
  // A policy that drops tokens leaves the window to the mask.
  const int64_t visible = plan.policy->keeps_all() ? window : 0;
  for (size_t i = 0; i < layout_.size(); ++i) {
    StateSlot slot = layout_[i];
    ATTNLAB_CHECK(slot.heads > 0 && slot.width % slot.heads == 0);
    storages_.push_back(nullptr);
    if (slot.extent == Extent::fixed) {
      const auto type = options.dtype().toScalarType() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
      fixed_[i] = torch::zeros({B, slot.heads, slot.width / slot.heads}, options.dtype(type));
    } else {
      slot.width *= copies_, slot.heads *= copies_;
      storages_[i] = plan_.storage->make(
          {slot, B, capacity, options, visible, choice_heads(*plan.policy, layout_, n_heads) > 1});
      first_ = std::min(first_, i);
    }
  }
}

void LayerState::begin(const Sequence& sequence) {
  scattered_ = sequence.is_scattered();
  if (scattered_) new_columns_T_ = sequence.columns();
  if (!plan_.policy->reindexes()) return;
  padding_B1_ = sequence.padding_B1();
  const auto options = torch::dtype(torch::kInt64).device(sequence.device());
  const auto new_BT = sequence.columns().view({1, -1});
  // Among the held tokens of a row, behind which the new ones come; all heads hold as many.
  const auto before_B1 =
      held_.length() > 0 ? held_.valid().select(1, 0).sum(1, /*keepdim=*/true) : torch::zeros({1, 1}, options);
  const auto counts =
      padding_B1_.defined() ? (new_BT >= padding_B1_).to(torch::kInt64) : torch::ones_like(new_BT);
  new_positions_BT_ = (before_B1 + counts.cumsum(1) - 1).clamp_min(0);
}

void LayerState::begin_slot(size_t slot, int64_t B, int64_t T, torch::Device device) {
  if (slot != first_) return;
  appended_ = T;
  if (plan_.policy->keeps_all()) return;
  const auto columns_T =
      scattered_ ? new_columns_T_
                 : torch::arange(columns_, columns_ + T, torch::dtype(torch::kInt64).device(device));
  held_.append(columns_T.unsqueeze(0), new_positions_BT_, B);
}

torch::Tensor LayerState::by_heads(size_t slot, const torch::Tensor& x_BSW) const {
  return x_BSW.view({x_BSW.size(0), x_BSW.size(1), layout_.at(slot).heads * copies_, -1}).transpose(1, 2);
}

// Behind what a slot was given.
void LayerState::count(size_t slot) {
  if (slot == first_) kept_ = storages_.at(slot)->shown();
  if (slot + 1 == layout_.size() || std::none_of(storages_.begin() + static_cast<std::ptrdiff_t>(slot) + 1,
                                                 storages_.end(), [](const auto& s) { return s != nullptr; }))
    columns_ += appended_;  // a token counts once every slot has it
}

torch::Tensor LayerState::placed(size_t slot) {
  count(slot);
  return by_heads(slot, storages_.at(slot)->read());
}

torch::Tensor LayerState::remember(size_t slot, const torch::Tensor& x) {
  store(slot, x);
  const auto all_BSW = storages_.at(slot)->read();
  return x.dim() == 4 ? by_heads(slot, all_BSW) : all_BSW;
}

void LayerState::store(size_t slot, const torch::Tensor& x) {
  const bool heads = x.dim() == 4;
  ATTNLAB_CHECK(heads ? x.size(1) == layout_.at(slot).heads : copies_ == 1);
  begin_slot(slot, x.size(0), heads ? x.size(2) : x.size(1), x.device());
  const auto kept = copies_ > 1 ? x.repeat_interleave(copies_, 1) : x;
  storages_.at(slot)->append(heads ? kept.transpose(1, 2).flatten(2) : kept);
  count(slot);
}

bool LayerState::before_rotary(size_t slot) const {
  const StateSlot& of = layout_.at(slot);
  return plan_.storage->keys_before_rotary() && of.serves == Serves::keys && of.rotated > 0 && !of.rotary_apart;
}

TokenPlace LayerState::place(size_t slot, int64_t T) {
  if (copies_ > 1) return {};
  const auto [x_PTW, rows_B] = storages_.at(slot)->place(T);
  if (!x_PTW.defined()) return {};
  begin_slot(slot, rows_B.defined() ? rows_B.size(0) : x_PTW.size(0), T, x_PTW.device());
  return {by_heads(slot, x_PTW), rows_B};
}

void LayerState::replace(size_t slot, const torch::Tensor& value) {
  ATTNLAB_CHECK(fixed_.at(slot).defined() && fixed_[slot].sizes() == value.sizes());
  fixed_[slot] = value.to(fixed_[slot].scalar_type());
}

void LayerState::settle(const Sequence& sequence) {
  // A layer without per-token slots counts columns here.
  if (first_ == layout_.size()) {
    columns_ = sequence.S();
    return;
  }
  if (scattered_ || plan_.storage->placed_by_pass()) columns_ = sequence.S();
  ATTNLAB_CHECK(columns_ == sequence.S());
  if (!plan_.policy->keeps_all()) choose(sequence);
  const SettledPass pass{.goes_on = sequence.goes_on(),
                         .valid_BhS = plan_.policy->keeps_all() ? torch::Tensor() : held_.valid(),
                         .padding_B1 = sequence.padding_B1()};
  for (const auto& storage : storages_)
    if (storage) storage->settle(pass);
}

void LayerState::choose(const Sequence& sequence) {
  held_.drop_padding(sequence.padding_B1());
  const bool in_prompt = prompt_tokens_.empty();
  if (in_prompt && !sequence.goes_on()) end_prompt(sequence);
  const HeldTokens held{.places_BhS = held_.columns(),
                        .valid_BhS = held_.valid(),
                        .appended = appended_,
                        .sequence = sequence,
                        .looked = looked_,
                        .in_prompt = in_prompt,
                        .prompt_tokens = prompt_tokens_};
  const KeptTokens kept = plan_.policy->choose(held, held_.scores());
  looked_.reset();
  if (kept.stays_BhS.defined()) keep(kept.stays_BhS.logical_and(held.valid_BhS), kept.most);
}

void LayerState::end_prompt(const Sequence& sequence) {
  const auto rows = static_cast<size_t>(held_.columns().size(0));
  prompt_tokens_.assign(rows, sequence.S());
  if (!sequence.padding_B1().defined()) return;
  const auto padding_B1 = sequence.padding_B1().to(torch::kCPU).contiguous();
  for (size_t row = 0; row < rows; ++row) prompt_tokens_[row] -= padding_B1.const_data_ptr<int64_t>()[row];
}

// Rows keep different numbers of tokens: shorter ones have gaps on the left that count as invalid.
void LayerState::keep(const torch::Tensor& stays_BhS, int64_t most) {
  const int64_t S = stays_BhS.size(2);
  const int64_t K = most >= 0 ? std::min(most, S) : stays_BhS.sum(2).max().item<int64_t>();
  const auto order_BhS = stays_BhS.to(torch::kInt64).argsort(/*stable=*/true, /*dim=*/2);
  const auto index_BhK = order_BhS.narrow(2, S - K, K);
  held_.keep(index_BhK, stays_BhS);
  for (size_t i = 0; i < layout_.size(); ++i)
    if (storages_[i]) storages_[i]->keep(index_BhK, held_.valid());
  kept_ = K;
  dropped_ = true;
}

void LayerState::select_rows(const torch::Tensor& rows) {
  for (auto& storage : storages_)
    if (storage) storage->select_rows(rows);
  held_.select_rows(rows);
  if (!prompt_tokens_.empty()) {
    const auto chosen = rows.to(torch::kCPU, torch::kInt64).contiguous();
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < chosen.numel(); ++i)
      tokens.push_back(prompt_tokens_.at(static_cast<size_t>(chosen.const_data_ptr<int64_t>()[i])));
    prompt_tokens_ = std::move(tokens);
  }
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
  out.window_ = first.window_;
  out.copies_ = first.copies_;
  out.columns_ = length;
  const bool all = first.plan_.policy->keeps_all();
  const int64_t held = all ? length : std::max(first.kept_, second.kept_);
  for (size_t i = 0; i < first.layout_.size(); ++i) {
    const bool fixed = first.fixed_[i].defined();
    out.fixed_.push_back(fixed ? torch::cat({first.fixed_[i], second.fixed_[i]}) : torch::Tensor());
    out.storages_.push_back(fixed ? nullptr : first.storages_[i]->joined(*second.storages_[i], held, capacity));
  }
  if (out.first_ < out.layout_.size()) out.kept_ = out.storages_[out.first_]->length();
  if (all || out.first_ == out.layout_.size()) return out;
  // Columns count from the left, and both batches end in the same one now.
  out.held_ =
      HeldPlaces::joined(first.held_, length - first.columns_, second.held_, length - second.columns_, held);
  out.dropped_ = first.dropped_ || second.dropped_ || held != length;
  ATTNLAB_CHECK(first.prompt_tokens_.empty() == second.prompt_tokens_.empty());
  out.prompt_tokens_ = first.prompt_tokens_;
  out.prompt_tokens_.insert(out.prompt_tokens_.end(), second.prompt_tokens_.begin(),
                            second.prompt_tokens_.end());
  return out;
}

void LayerState::mark() {
  auto mark = std::make_shared<Mark>();
  mark->columns = columns_;
  mark->kept = kept_;
  mark->fixed = fixed_;
  if (drops(plan_, storages_))
    for (const auto& storage : storages_) mark->storages.push_back(storage ? storage->clone() : nullptr);
  mark->held = held_;
  mark->dropped = dropped_;
  mark->prompt_tokens = prompt_tokens_;
  mark_ = std::move(mark);
}

bool LayerState::can_rewind() const {
  return !drops(plan_, storages_) &&
         std::none_of(fixed_.begin(), fixed_.end(), [](const auto& value) { return value.defined(); });
}

void LayerState::rewind(int64_t length) {
  ATTNLAB_CHECK(length >= 0 && length <= columns_);
  if (length == columns_) return;
  if (!can_rewind()) {
    ATTNLAB_CHECK(mark_ && mark_->columns == length);
    fixed_ = mark_->fixed;
    for (size_t i = 0; i < mark_->storages.size(); ++i)
      if (mark_->storages[i]) storages_[i] = mark_->storages[i]->clone();
    held_ = mark_->held;
    dropped_ = mark_->dropped;
    prompt_tokens_ = mark_->prompt_tokens;
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
  return total + held_.bytes();
}

}  // namespace attnlab
