// What one layer keeps while generating: its slots (layout.h) in storages (storage.h), under a policy that says
// which tokens stay (policy.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "state/held_places.h"
#include "state/layout.h"
#include "state/policy.h"
#include "state/sequence.h"
#include "state/storage.h"
#include "tensor/torch.h"

namespace attnlab {

class LayerState {
 public:
  // Room for `capacity` tokens of each of B sequences. With a window only the tokens that later ones can see
  // are kept. `policy_problem` must be empty. Fixed slots start at 0. `n_heads`: query heads.
  LayerState(StateLayout layout, int64_t B, int64_t capacity, torch::TensorOptions options, int64_t window = 0,
             const CachePlan& plan = {}, int64_t n_heads = 1);

  // A pass: `begin`, every per-token slot is remembered once, fixed slots are read and replaced, then `settle`
  // is called.
  //
  // Tells which tokens are new. Needed by policies that count positions anew.
  void begin(const Sequence& sequence);
  // Stores the newest T tokens of a slot, x [B, T, width] or, by heads, [B, heads, T, width / heads]. Returns
  // the tokens that the pass's queries may look at, these included, in the same form (by heads, with as many
  // as are kept: kept_copies).
  torch::Tensor remember(size_t slot, const torch::Tensor& x);
  // The same without what it returns, which aligned() or coded() then give.
  void store(size_t slot, const torch::Tensor& x);
  // The same in two steps, for kernels that write where the tokens stay: a place for T new tokens, [B or P,
  // heads, T, width / heads], undefined where the storage has none (then `remember` takes them); and, once it
  // is written, what `remember` returns.
  TokenPlace place(size_t slot, int64_t T);
  torch::Tensor placed(size_t slot);
  // What remember returned last, as [B, P, width] with P ≥ S tokens whose rest is finite (TokenStorage).
  torch::Tensor aligned(size_t slot) const { return storages_.at(slot)->read_aligned(); }
  // The same as codes, where it is kept so (TokenStorage).
  std::optional<CodedLatent> coded(size_t slot) const { return storages_.at(slot)->read_coded(); }
  // A fixed slot: [B, heads, width / heads] float32 (float64 where the layer computes in that).
  const torch::Tensor& fixed(size_t slot) const { return fixed_.at(slot); }
  void replace(size_t slot, const torch::Tensor& value);
  // The queries of the pass, if the policy wants them.
  bool wants_attention() const { return plan_.policy->wants_attention(); }
  void look(Looked looked) { looked_ = std::move(looked); }
  // Lets the policy choose what stays.
  void settle(const Sequence& sequence);

  // Where the tokens that remember returned stand: int64 columns and bool [B, h, S], h = 1 where all heads have
  // the same. Undefined: in the last `kept()` columns.
  torch::Tensor places() const { return in_places() ? held_.columns() : torch::Tensor(); }
  torch::Tensor valid() const { return in_places() ? held_.valid() : torch::Tensor(); }
  // Under a policy that counts positions anew: what the new tokens turn by, int64 [B, T]; and, behind
  // `remember`, what each held one is to turn by, and what the numbers that are kept turned by already, [B, h,
  // S]. Undefined where positions are those of the text (so far).
  torch::Tensor new_positions() const { return renumbered() ? new_positions_BT_ : torch::Tensor(); }
  torch::Tensor positions() const { return renumbered() ? held_.slots(padding_B1_) : torch::Tensor(); }
  torch::Tensor turned() const { return renumbered() ? held_.turned() : torch::Tensor(); }
  bool keeps_all() const { return plan_.policy->keeps_all(); }
  const TokenStorage& storage(size_t slot) const { return *storages_.at(slot); }
  // The slot takes keys before rotary.
  bool before_rotary(size_t slot) const;
  const StateLayout& layout() const { return layout_; }
  // Tokens that remember returned last.
  int64_t kept() const { return kept_; }
  // Columns that have been seen.
  int64_t length() const { return columns_; }

  // Keeps only the given rows of the batch, in the given order (finished sequences leave).
  void select_rows(const torch::Tensor& rows);
  // The rows of two states of one layer, of a batch that is `length` columns wide then: newest tokens side by
  // side, with room for `capacity` columns in all.
  static LayerState joined(const LayerState& first, const LayerState& second, int64_t length, int64_t capacity);
  // Remembers this length, so that `rewind` can come back to it whatever was dropped or replaced since.
  void mark();
  // Forgets the newest tokens, so that `length` columns are left. Without a mark at that length only where
  // nothing can have been lost: no window, no dropping policy, no fixed slots.
  void rewind(int64_t length);
  // Whether that is so.
  bool can_rewind() const;
  // Bytes that what is held takes.
  int64_t bytes() const;
  // The policy's numbers of the held tokens, [B, h, S], and forgets them.
  torch::Tensor take_scores() { return std::exchange(held_.scores(), torch::Tensor()); }

 private:
  struct Mark;
  LayerState() = default;
  void begin_slot(size_t slot, int64_t B, int64_t T, torch::Device device);
  // Tokens were dropped, so that places are not the last ones; or a window must be told from places.
  bool in_places() const { return !plan_.policy->keeps_all() && (dropped_ || window_ > 0 || scattered_); }
  bool renumbered() const { return dropped_ && plan_.policy->reindexes(); }
  void end_prompt(const Sequence& sequence);
  void count(size_t slot);
  torch::Tensor by_heads(size_t slot, const torch::Tensor& x_BSW) const;
  void choose(const Sequence& sequence);
  void keep(const torch::Tensor& stays_BhS, int64_t most);

  StateLayout layout_;
  CachePlan plan_;
  std::vector<std::unique_ptr<TokenStorage>> storages_;  // by slot; null for fixed ones
  std::vector<torch::Tensor> fixed_;                     // by slot; undefined for per-token ones
  size_t first_ = 0;                                     // the first per-token slot
  int64_t window_ = 0, copies_ = 1;
  int64_t columns_ = 0, kept_ = 0;
  int64_t appended_ = 0;  // tokens of this pass so far
  // Under a policy that drops.
  HeldPlaces held_;
  bool dropped_ = false, scattered_ = false;
  std::vector<int64_t> prompt_tokens_;                           // of each row; empty before its prompt is over
  torch::Tensor new_positions_BT_, padding_B1_, new_columns_T_;  // of this pass
  std::optional<Looked> looked_;
  std::shared_ptr<const Mark> mark_;
};

}  // namespace attnlab
