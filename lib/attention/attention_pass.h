// One forward pass of one attention layer: its input, what it remembers, and what its queries then look at. All
// that variants share of tables, masks and the state stands here.
//
// Shapes: B batch, T new tokens, S tokens that are looked at, N query heads, G KV heads, H head_dim, W latent
// numbers.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "attention/attend.h"
#include "attention/mixer.h"

namespace attnlab {

class AttentionPass {
 public:
  AttentionPass(const MixerInput& input, int64_t window);

  const torch::Tensor& x_BTD() const { return input_.x_BTD; }
  // Slots of the state; 0 without one.
  size_t slots() const { return input_.state ? input_.state->layout().size() : 0; }
  // One new token behind a state: where a latent can be read as it lies.
  bool decodes() const { return input_.state && input_.x_BTD.size(1) == 1; }

  // Keeps the new tokens' part of a slot, [B, T, width] or [B, heads, T, width / heads], and returns what is
  // looked at, in the same form: all that the state holds, or without one the new tokens themselves. Slots come
  // in the layout's order, each once.
  torch::Tensor remember(size_t slot, const torch::Tensor& x);

  // The same for a latent that attend_latent alone looks at, x_BTW: what is kept as codes is not decoded here.
  void remember_latent(size_t slot, const torch::Tensor& x_BTW);
  // The same for one new token of each sequence that `write` makes, in numbers of this kind, where it is to
  // stay: in rows of out_PW, b's in rows_B[b] (int64), or in b where that is undefined.
  using WriteTokens = std::function<void(const torch::Tensor& out_PW, const torch::Tensor& rows_B)>;
  void write_latent(size_t slot, const torch::TensorOptions& numbers, const WriteTokens& write);

  // Rotary tables of the new tokens and, behind `remember`, of those that are looked at.
  const RotaryTables& new_tables() const;
  RotaryTables kept_tables() const;
  // Rotary position (rotary.h) on heads [B, heads, T, H] of the new tokens, or [B, heads, S, H] of those looked
  // at.
  torch::Tensor turn(const torch::Tensor& x_BNTH) const;
  torch::Tensor turn_kept(const torch::Tensor& x_BNSH) const;

  // Turns new queries [B, N, T, H] and keys [B, G, T, H], and keeps the keys in a slot: the queries, and all
  // keys that are looked at.
  std::pair<torch::Tensor, torch::Tensor> turn_and_remember(const torch::Tensor& q_BNTH,
                                                            const torch::Tensor& k_BGTH, size_t slot);

  // Behind `remember`: attend, attention_weights (attend.h), and attend_latent (attend_latent.h) over the first
  // R of the numbers of a slot, q_BNW the one new token's queries, with the masks of this pass.
  torch::Tensor attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                       const ScoreForm& form) const;
  torch::Tensor weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const ScoreForm& form) const;
  torch::Tensor attend_latent(const torch::Tensor& q_BNW, size_t slot, int64_t R, const ScoreForm& form) const;

  // For layers behind: what this one's queries look at, and what another left. Throws RunError if it left
  // nothing.
  void leave(int64_t layer, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH);
  const KvBoard& left(int64_t layer) const;

 private:
  torch::Tensor remember_before_rotary(size_t slot, const torch::Tensor& x);
  // Of those that are looked at, [B·h, S, H] for h choices apart.
  std::pair<RotaryTables, int64_t> tables_by_head() const;
  // bool [B or 1, 1 or G, T, S], or undefined: plain causal.
  torch::Tensor mask() const;
  // Returns that mask.
  torch::Tensor look(const torch::Tensor& q_BNTW, const torch::Tensor& k_BGSW, const ScoreForm& form) const;
  const RotaryTables& all_tables() const { return input_.sequence->rotary(input_.rotary); }
  // Of the places in a row's own text, int64 [B or 1, S].
  RotaryTables tables_of(const torch::Tensor& positions_BS) const;
  // What a slot keeps, turned to the positions that its tokens have now.
  torch::Tensor turned_anew(const StateSlot& slot, const torch::Tensor& kept) const;

  const MixerInput& input_;
  int64_t window_;
  int64_t kept_ = 0;
  std::optional<RotaryTables> new_tables_;  // of positions that a policy counts anew
  torch::Tensor anew_;                      // the slot with rotary position, where it was turned anew
};

}  // namespace attnlab
