#include "model/generate.h"

#include <algorithm>

#include "core/errors.h"
#include "core/random.h"
#include "model/padded_batch.h"

namespace attnlab {
namespace {

// Which prompt each row of the batch continues, its random numbers, and whether it has ended.
class Rows {
 public:
  Rows(size_t count, const GenerateOptions& options) : options_(options) {
    for (size_t i = 0; i < count; ++i)
      rows_.push_back({i, Random(options.seed, options.first_stream + i), false});
  }
  size_t size() const { return rows_.size(); }
  size_t active() const {
    return static_cast<size_t>(
        std::count_if(rows_.begin(), rows_.end(), [](const Row& r) { return !r.ended; }));
  }

  torch::Tensor uniforms(torch::Device device) {
    if (options_.sampling.temperature <= 0) return {};
    std::vector<double> numbers;
    for (Row& row : rows_) numbers.push_back(row.random.uniform());
    return torch::tensor(numbers, torch::kFloat64).to(device);
  }

  void take(const torch::Tensor& tokens_B, std::vector<std::vector<int64_t>>& outputs) {
    const auto& stops = options_.stop_tokens;
    for (size_t i = 0; i < size(); ++i) {
      Row& row = rows_[i];
      if (row.ended) continue;
      const int64_t token = tokens_B.const_data_ptr<int64_t>()[i];
      row.ended = std::find(stops.begin(), stops.end(), token) != stops.end();
      if (row.ended) continue;
      outputs[row.prompt].push_back(token);
      if (options_.on_token) row.ended = options_.on_token(row.prompt, token);
    }
  }
  // Returns the rows that go on.
  std::vector<int64_t> drop_ended() {
    std::vector<int64_t> kept;
    std::vector<Row> rows;
    for (size_t i = 0; i < size(); ++i) {
      if (rows_[i].ended) continue;
      kept.push_back(static_cast<int64_t>(i));
      rows.push_back(rows_[i]);
    }
    rows_ = std::move(rows);
    return kept;
  }

 private:
  struct Row {
    size_t prompt;
    Random random;
    bool ended;
  };
  const GenerateOptions& options_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<std::vector<int64_t>> generate(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerateOptions& options) {
  ATTNLAB_CHECK(options.prefill_chunk > 0);
  const torch::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> outputs(prompts.size());
  if (prompts.empty() || options.max_new_tokens < 1) return outputs;
  Rows rows(prompts.size(), options);
  PaddedBatch batch(decoder, prompts, options.max_new_tokens, options.prefill_chunk);
  auto logits_BV = batch.prefill();
  for (int64_t produced = 1;; ++produced) {
    auto tokens_B = choose_tokens(logits_BV, options.sampling, rows.uniforms(decoder.device()));
    rows.take(tokens_B.to(torch::kCPU), outputs);
    if (rows.active() == 0 || produced == options.max_new_tokens) return outputs;
    // Leaving copies the cache: it pays once a quarter of the rows has ended.
    if (4 * rows.active() <= 3 * rows.size()) {
      const auto kept = rows.drop_ended();
      batch.keep(kept);
      tokens_B = tokens_B.index_select(0, torch::tensor(kept).to(tokens_B.device()));
    }
    logits_BV = batch.step(tokens_B);
  }
}

}  // namespace attnlab
