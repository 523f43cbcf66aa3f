// Sequences that grow in places of their own (state/row_storage.h): row b's tokens stand in its columns 0, 1,
// …, caches are as wide as the longest sequence can get, and columns behind a row's end are masked. A new
// prompt takes the place of a sequence that has ended; what all prompts begin with is computed once and stands
// in all rows. A step computes the next token on the device, so that several follow each other without the
// host; on a GPU they are recorded, one recording for each width that is looked at, which grows by steps.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/recorded.h"
#include "model/decoder.h"
#include "model/sampling.h"
#include "state/row_storage.h"

namespace attnlab {

struct RowBatchOptions {
  int64_t rows = 1;
  int64_t longest = 0;             // tokens that a sequence may have, those to come included
  int64_t chunk = 512;             // tokens of a prompt that go through the decoder at a time
  int64_t pass_tokens = 16384;     // those of all prompts together
  std::vector<int64_t> beginning;  // what all prompts begin with
  SamplingOptions sampling;
  bool record = true;      // steps, where that is possible (recording_problem)
  int64_t width_step = 0;  // columns that are looked at: a multiple of it; 0: what suits the device
};

// Where rows end: each row's newest token, which no pass has seen yet, and its column. Idle rows write, too:
// theirs is the column behind the beginning.
struct RowTips {
  std::vector<int64_t> tokens_R, columns_R;
};

class RowBatch {
 public:
  // Steps that follow each other without the host, at most.
  static constexpr int64_t kMostSteps = 8;
  // A row's room is a multiple of this, or of a smaller width step.
  static constexpr int64_t kAlignedColumns = 64;
  // Why sequences of up to `longest` tokens can't grow in rows under this plan, if so: for whom asks.
  static std::optional<std::string> problem(const Decoder& decoder, const CachePlan& plan, int64_t longest);
  // Tokens that a row has room for, if sequences have up to `longest`.
  static int64_t columns_for(int64_t longest, int64_t width_step = kAlignedColumns);
  // Why their steps can't be recorded on the decoder's device, if so.
  static std::optional<std::string> recording_problem(const Decoder& decoder);

  RowBatch(Decoder& decoder, RowBatchOptions options);

  // Prompts longer than the beginning, which they have, take these rows; logits [prompts, V] of the token after
  // each.
  torch::Tensor enter(const std::vector<int64_t>& rows, const std::vector<std::vector<int64_t>>& prompts);
  // `steps` more tokens of each row behind its tip, on the host: [steps, rows]. uniforms_KR: numbers for
  // choose_tokens, where it draws.
  torch::Tensor grow(int64_t steps, const RowTips& tips, const torch::Tensor& uniforms_KR);
  // Keeps only these rows, in this order.
  void keep(const std::vector<int64_t>& rows);

  int64_t rows() const { return options_.rows; }
  int64_t steps() const { return steps_; }
  int64_t replayed() const { return replayed_; }

 private:
  struct Width {
    bool ran = false;
    std::unique_ptr<Recording> recording;
  };
  // Of these rows the tokens ids_ET from column `begin` on, each row `lengths_E` of them; hidden states of the
  // last ones, [E, D].
  torch::Tensor read(const torch::Tensor& rows_E, const torch::Tensor& ids_ET, const torch::Tensor& lengths_E,
                     int64_t begin);
  void place_tensors();
  void step(int64_t width);
  void compute(int64_t width);
  std::vector<RotaryTables> tables(int64_t columns) const;
  int64_t width_for(int64_t columns) const;

  Decoder& decoder_;
  RowBatchOptions options_;
  int64_t columns_ = 0;
  std::shared_ptr<RowCursor> cursor_ = std::make_shared<RowCursor>();
  std::vector<LayerState> states_;
  std::vector<RotaryTables> rotary_;  // of all columns
  // What steps read and write: where they are is recorded.
  torch::Tensor tips_2R_, first_places_R_, uniforms_KR_, chosen_KR_, step_1_;
  std::unique_ptr<Recorder> recorder_;
  std::map<int64_t, Width> widths_;
  int64_t steps_ = 0, replayed_ = 0;
};

}  // namespace attnlab
