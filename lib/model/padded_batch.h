// A batch of left-padded sequences with their states, which grows by a token a step.
#pragma once

#include <cstdint>
#include <vector>

#include "model/decoding_batch.h"

namespace attnlab {

class PaddedBatch final : public DecodingBatch {
 public:
  // Prompts of at least one token each, and room for `capacity` more. Prefill goes through the decoder in
  // pieces of `chunk` tokens, so that no more than chunk × S scores exist at a time.
  // `plan`: how the states are kept. Throws InputError as require_lasting_frequencies does.
  PaddedBatch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts, int64_t capacity,
              int64_t chunk, const CachePlan& plan = {});

  torch::Tensor prefill() override;
  torch::Tensor extend(const torch::Tensor& tokens_BT) override;
  void keep(const std::vector<int64_t>& rows) override;
  // The batch is as wide as its longest row then.
  torch::Tensor enter(const std::vector<std::vector<int64_t>>& prompts) override;
  int64_t bytes() const override;
  // Of each layer, behind the prompts.
  const std::vector<LayerState>& states() const { return states_; }

 private:
  void make_tables();
  void place_ids(const torch::Tensor& ids_BS, int64_t first_row, int64_t seen);
  torch::Tensor run(int64_t begin, int64_t end);
  torch::Tensor run_on(int64_t first);

  Decoder& decoder_;
  int64_t slots_ = 0, capacity_, chunk_, seen_ = 0;
  bool ragged_ = false;
  std::vector<int64_t> lengths_;       // tokens of each row, padding not counted
  torch::Tensor ids_BS_, padding_B1_;  // all slots; where nothing stands yet, 0
  CachePlan plan_;
  std::vector<RotaryTables> rotary_;  // of all slots
  std::vector<LayerState> states_;
};

}  // namespace attnlab
