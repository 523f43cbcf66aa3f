// The coded tokens of lanes (token_codec.h). Lanes may hold different numbers of them: each lane's stand first.
// Copies of a table share its tensors: what is held is never written to, and of two copies that grow, one
// leaves the room behind it to the other.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "state/lanes.h"
#include "state/token_codec.h"
#include "tensor/torch.h"

namespace attnlab {

class CodedTable {
 public:
  // Of `lanes` lanes without tokens, which are made of `like` [L, 0, w].
  CodedTable(std::shared_ptr<const TokenCodec> codec, const torch::Tensor& like, int64_t lanes_per_row);

  // Of each lane.
  const Counts& counts() const { return counts_; }
  // Rows that decode() returns.
  int64_t rows() const { return coded_.by_token[0].size(1); }
  // Codes the first `ready` tokens of each lane, x [L, n, w].
  void append(const torch::Tensor& x_Lnw, const Counts& ready);
  // [L, n, w].
  torch::Tensor decode(torch::ScalarType dtype) const;
  // As a kernel reads them, [L, n], without gaps; nullopt where none does.
  std::optional<CodedLatent> latent() const {
    return coded_.outliers.defined() ? std::nullopt : codec_->as_latent(coded_);
  }
  // Keeps of each lane the tokens at these places, of which so many are meant.
  void take(const torch::Tensor& index_Lm, const Counts& kept);
  // Whole groups only.
  void drop_first(const Counts& gone);
  // Forgets the newest; only where each token is a group.
  void truncate(const Counts& left);
  void select_lanes(const torch::Tensor& lanes_L);
  // The lanes of both, one below the other.
  void stack(CodedTable below);
  // The tensors of what is held.
  std::vector<torch::Tensor> parts() const;

 private:
  torch::Tensor decode_block(int64_t from, int64_t count, torch::ScalarType dtype) const;
  int64_t group() const { return codec_->tokens_per_group(); }
  torch::Tensor heads() const;
  Counts groups_of(const Counts& tokens) const;
  Counts groups_held() const { return group_of_.defined() ? groups_ : groups_of(counts_); }
  void name_groups();
  void drop_groups();
  // Applies what happens to rows to all that stands by token.
  template <class Change>
  void change_tokens(Change&& change);
  void append_tokens(const std::vector<torch::Tensor>& more, const Counts& ready);
  void make_room(int64_t rows);

  std::shared_ptr<const TokenCodec> codec_;
  int64_t lanes_per_row_;
  torch::Device device_;
  CodedTokens coded_;
  Counts counts_;
  torch::Tensor group_of_;  // int32 [L, n]; undefined: token i is of group i / tokens_per_group
  Counts groups_;           // where group_of_ is defined
  // What coded_.by_token are the first rows of, for tokens to come; empty: those alone. A new token costs its
  // own bytes then, not those of all before it.
  std::vector<torch::Tensor> rooms_;
  std::shared_ptr<const int> owner_;  // of the rooms; several where a table was copied
};

}  // namespace attnlab
