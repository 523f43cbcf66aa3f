#include "model/generate.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

// A batch of left-padded prompts that grows by a token a step.
class PaddedBatch {
 public:
  PaddedBatch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts, int64_t capacity)
      : decoder_(decoder), B_(static_cast<int64_t>(prompts.size())), capacity_(capacity) {
    for (const auto& prompt : prompts) longest_ = std::max(longest_, static_cast<int64_t>(prompt.size()));
    ids_BT_ = torch::zeros({B_, longest_}, torch::kInt64);
    auto padding_B = torch::zeros({B_, 1}, torch::kInt64);
    for (int64_t b = 0; b < B_; ++b) {
      const auto& prompt = prompts[static_cast<size_t>(b)];
      const int64_t n = static_cast<int64_t>(prompt.size());
      ATTNLAB_CHECK(n > 0);
      ids_BT_[b].narrow(0, longest_ - n, n).copy_(torch::tensor(prompt));
      padding_B[b] = longest_ - n;
      ragged_ |= n != longest_;
    }
    place(padding_B.to(decoder.device()));
    ids_BT_ = ids_BT_.to(decoder.device());
    caches_ = decoder.make_caches(B_, longest_ + capacity);
  }

  // The likeliest next token of each row [B].
  torch::Tensor prefill() { return next(ids_BT_, prefill_mask()); }
  torch::Tensor step(const torch::Tensor& tokens_B) {
    return next(tokens_B.unsqueeze(1),
                ragged_ ? valid_BS_.narrow(1, 0, seen_ + 1).view({B_, 1, 1, -1}) : torch::Tensor());
  }
  void keep(const torch::Tensor& index) {
    B_ = index.size(0);
    valid_BS_ = valid_BS_.index_select(0, index);
    rotary_ = {rotary_.cos_BTH.index_select(0, index), rotary_.sin_BTH.index_select(0, index)};
    for (auto& cache : caches_) cache.select_rows(index);
  }

 private:
  void place(const torch::Tensor& padding_B1) {
    const auto slots_S = torch::arange(longest_ + capacity_, padding_B1.options());
    valid_BS_ = slots_S >= padding_B1;
    rotary_ = decoder_.rotary_at((slots_S - padding_B1).clamp_min(0));
  }

  // Causal, without padding; a padded query may see itself, so that no row of weights is empty.
  torch::Tensor prefill_mask() const {
    if (!ragged_) return {};
    const auto causal_TT = torch::ones({longest_, longest_}, valid_BS_.options()).tril();
    const auto self_TT = torch::eye(longest_, valid_BS_.options());
    return (causal_TT.logical_and(valid_BS_.narrow(1, 0, longest_).unsqueeze(1)).logical_or(self_TT))
        .unsqueeze(1);
  }

  torch::Tensor next(const torch::Tensor& ids_BT, const torch::Tensor& mask_B1TS) {
    seen_ += ids_BT.size(1);
    const auto hidden_BTD = decoder_.hidden(
        ids_BT, {.rotary = {rotary_.cos_BTH.narrow(1, 0, seen_), rotary_.sin_BTH.narrow(1, 0, seen_)},
                 .mask_B1TS = mask_B1TS,
                 .caches = &caches_});
    return decoder_.logits(hidden_BTD.select(1, -1)).argmax(-1);
  }

  Decoder& decoder_;
  int64_t B_, capacity_, longest_ = 0, seen_ = 0;
  bool ragged_ = false;
  torch::Tensor ids_BT_, valid_BS_;
  RotaryTables rotary_;
  std::vector<LayerCache> caches_;
};

// Which prompt each row of the batch continues, and whether it has ended.
class Rows {
 public:
  explicit Rows(size_t count) : ended_(count, false) {
    for (size_t i = 0; i < count; ++i) prompt_.push_back(i);
  }
  size_t size() const { return prompt_.size(); }
  size_t active() const { return static_cast<size_t>(std::count(ended_.begin(), ended_.end(), false)); }

  void take(const torch::Tensor& tokens_B, const std::vector<int64_t>& stops,
            std::vector<std::vector<int64_t>>& outputs) {
    for (size_t row = 0; row < size(); ++row) {
      const int64_t token = tokens_B.const_data_ptr<int64_t>()[row];
      if (std::find(stops.begin(), stops.end(), token) != stops.end()) ended_[row] = true;
      if (!ended_[row]) outputs[prompt_[row]].push_back(token);
    }
  }
  // Returns the rows that go on.
  std::vector<int64_t> drop_ended() {
    std::vector<int64_t> kept;
    std::vector<size_t> prompts;
    for (size_t row = 0; row < size(); ++row) {
      if (ended_[row]) continue;
      kept.push_back(static_cast<int64_t>(row));
      prompts.push_back(prompt_[row]);
    }
    prompt_ = std::move(prompts);
    ended_.assign(prompt_.size(), false);
    return kept;
  }

 private:
  std::vector<size_t> prompt_;
  std::vector<bool> ended_;
};

}  // namespace

std::vector<std::vector<int64_t>> generate_greedy(Decoder& decoder,
                                                  const std::vector<std::vector<int64_t>>& prompts,
                                                  const GenerateOptions& options) {
  const torch::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> outputs(prompts.size());
  if (prompts.empty() || options.max_new_tokens < 1) return outputs;
  Rows rows(prompts.size());
  PaddedBatch batch(decoder, prompts, options.max_new_tokens);
  auto tokens_B = batch.prefill();
  for (int64_t produced = 1;; ++produced) {
    rows.take(tokens_B.to(torch::kCPU), options.stop_tokens, outputs);
    if (rows.active() == 0 || produced == options.max_new_tokens) return outputs;
    // Leaving copies the cache: it pays once a quarter of the rows has ended.
    if (4 * rows.active() <= 3 * rows.size()) {
      const auto kept = torch::tensor(rows.drop_ended()).to(tokens_B.device());
      batch.keep(kept);
      tokens_B = tokens_B.index_select(0, kept);
    }
    tokens_B = batch.step(tokens_B);
  }
}

}  // namespace attnlab
