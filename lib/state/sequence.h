// What all layers of one forward pass read beside the hidden states: which columns of the batch are new, which
// are padding, where documents begin, rotary tables and masks. Made once per pass.
//
// A batch is a table of B rows; a token stands in a row and a column, and columns are counted from the left,
// padding included. T new tokens stand in the columns begin … begin + T - 1; S = begin + T columns are there
// after the pass. A token's position (what rotary turns by) is its column less its row's padding, or its place
// in its document.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

struct RotaryTables {
  torch::Tensor cos_BTH, sin_BTH;  // both halves of the last dimension alike
};

// New tokens that stand anywhere in a row, when some of those between them are not run or not looked at.
struct ScatteredTokens {
  torch::Tensor columns_T;  // int64, ascending
  torch::Tensor open_S;     // bool: columns that may be looked at
  int64_t S = 0;            // columns of the row
};

// One new token in each row, whose tokens stand in the row's first columns: rows differ in length, and none has
// padding.
struct RowEnds {
  torch::Tensor columns_B;  // int64, of the new tokens
  int64_t S = 0;            // columns of the batch; those behind a row's new token hold none
};

struct SequenceParts {
  int64_t begin = 0, T = 0;
  torch::Device device = torch::kCPU;
  torch::Tensor padding_B1;  // int64: how many columns on the left are padding; undefined: none
  // int64: each new token's place in its document, where rows hold several (then begin = 0); undefined: one
  // each.
  torch::Tensor document_positions_BT;
  // bool, true where a query may look: instead of what follows from the two above; undefined: that.
  torch::Tensor mask_B1TS;
  ScatteredTokens scattered;     // one row; instead of begin; undefined columns: none
  RowEnds ends;                  // instead of begin, T = 1; undefined columns: none
  int64_t to_come = 0;           // tokens of the prompt that follow in the next passes
  std::vector<int64_t> windows;  // of the layers that have one
  std::vector<RotaryTables>
      rotary;  // of all S columns, [B or 1, S, width], one for each way in which layers turn
};

class Sequence {
 public:
  explicit Sequence(SequenceParts parts);

  int64_t begin() const { return parts_.begin; }
  int64_t T() const { return parts_.T; }
  int64_t S() const;
  bool is_scattered() const { return parts_.scattered.columns_T.defined(); }
  bool is_at_ends() const { return parts_.ends.columns_B.defined(); }
  torch::Device device() const { return parts_.device; }
  torch::Tensor columns() const;  // int64 [T], of the new tokens
  int64_t to_come() const { return parts_.to_come; }
  bool goes_on() const { return parts_.to_come > 0; }
  const RotaryTables& rotary(size_t way) const { return parts_.rotary.at(way); }
  // Of the new tokens alone.
  const RotaryTables& new_rotary(size_t way) const { return new_rotary_.at(way); }
  const torch::Tensor& padding_B1() const { return parts_.padding_B1; }

  // Which of the last `kept` columns each new token may look at, for a layer with this window (0: none): bool
  // [B or 1, 1, T, kept], or undefined where plain causal attention is meant (attention/attend.h).
  torch::Tensor mask(int64_t window, int64_t kept) const;
  // The same over tokens that stand in given columns, where `valid`: int64 and bool [B, h, K] → [B, h, T, K].
  torch::Tensor mask_at(const torch::Tensor& places_BhK, const torch::Tensor& valid_BhK, int64_t window) const;

  // For recurrences. bool [B, T]: which new tokens are no padding; undefined: all.
  torch::Tensor valid_BT() const;
  // bool [B or 1, T]: where a document begins, so that nothing before counts; undefined: nowhere in this pass,
  // or in column 0 alone.
  torch::Tensor starts_BT() const;

 private:
  torch::Tensor full_mask() const;
  torch::Tensor window_mask(const torch::Tensor& full_B1TS, int64_t window) const;

  SequenceParts parts_;
  std::vector<RotaryTables> new_rotary_;
  torch::Tensor full_B1TS_;
  std::vector<std::pair<int64_t, torch::Tensor>> window_masks_;
};

// Rows that hold several documents side by side, from each token's place in its document: a query sees its own
// document up to itself. int64 [B, T] → bool [B, 1, T, T].
torch::Tensor document_mask(const torch::Tensor& positions_BT);

}  // namespace attnlab
