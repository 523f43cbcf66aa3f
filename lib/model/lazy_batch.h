// LazyLLM (arXiv 2407.14057): tokens leave layers, not the model. Behind a pruning layer the tokens that the
// newest one attended to least leave the layers above; one that comes back later goes on from the layer where
// it left, from its hidden state there.
//
// Notation: U_l the tokens that layer l looks at in this pass, C_l ⊆ U_l those that it must still run, having
// no keys and values of them.
#pragma once

#include <optional>
#include <vector>

#include "model/decoding_batch.h"

namespace attnlab {

// Which tokens a pass touched, by layer, as columns in ascending order.
struct LazyTrace {
  std::vector<std::vector<int64_t>> used, computed;  // U_l, C_l
};

// One sequence.
class LazyRow {
 public:
  LazyRow(Decoder& decoder, int64_t columns, int64_t chunk, const CachePlan& plan);

  // Appends tokens (the first time the prompt); the last one's hidden state after the final norm, [D]. Each
  // layer runs its tokens in pieces of `chunk`.
  torch::Tensor pass(const torch::Tensor& ids_T);
  const LazyTrace& trace() const { return trace_; }
  // Hidden states that wait below a layer.
  int64_t waiting(size_t layer) const { return std::ssize(waiting_.at(layer).columns); }
  int64_t bytes() const;

 private:
  // The hidden states of some tokens, by column.
  struct Active {
    std::vector<int64_t> columns;
    torch::Tensor x_CD;
  };
  void run_layer(size_t layer, Active& active, const std::vector<int64_t>& used);
  std::vector<int64_t> pruned(size_t layer, const std::vector<int64_t>& used);
  Active next_active(size_t layer, Active active, const std::vector<int64_t>& used);
  // Those (not) among the used ones, by column.
  static Active chosen(const Active& from, const std::vector<int64_t>& used, bool in);

  Decoder& decoder_;
  int64_t chunk_, seen_ = 0;
  std::vector<double> shares_;  // that leave behind each layer
  std::vector<LayerState> states_;
  std::vector<RotaryTables> rotary_;
  std::vector<std::vector<bool>> has_;  // of each layer: the columns that it ran
  std::vector<Active> waiting_;         // of each layer: tokens that left below it
  LazyTrace trace_;
};

class LazyBatch final : public DecodingBatch {
 public:
  // Throws InputError as Decoder::make_states and require_lasting_frequencies do.
  LazyBatch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts, int64_t capacity, int64_t chunk,
            const CachePlan& plan);

  torch::Tensor prefill() override;
  torch::Tensor extend(const torch::Tensor& tokens_BT) override;
  void keep(const std::vector<int64_t>& rows) override;
  torch::Tensor enter(const std::vector<std::vector<int64_t>>& prompts) override;
  int64_t bytes() const override;
  const std::vector<LazyRow>& rows() const { return rows_; }

 private:
  void add(const std::vector<std::vector<int64_t>>& prompts);
  torch::Tensor prefill_from(size_t first);

  Decoder& decoder_;
  int64_t capacity_, chunk_;
  CachePlan plan_;
  std::vector<LazyRow> rows_;
  std::vector<torch::Tensor> prompts_;  // ids of each row's prompt
};

}  // namespace attnlab
