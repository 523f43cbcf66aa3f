#include "model/generate.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/errors.h"
#include "model/decoding_batch.h"
#include "model/generated_row.h"
#include "model/row_generation.h"

namespace attnlab {
namespace {

// The rows of a batch.
class Rows {
 public:
  explicit Rows(const GenerateOptions& options) : options_(options) {}
  size_t size() const { return rows_.size(); }
  size_t active() const {
    return static_cast<size_t>(
        std::count_if(rows_.begin(), rows_.end(), [](const GeneratedRow& r) { return !r.ended(); }));
  }
  void add(size_t prompt) { rows_.emplace_back(options_, prompt); }

  // Chooses and takes the next token of the last rows, those that logits [rows, V] are of.
  torch::Tensor choose(const torch::Tensor& logits_BV, std::vector<std::vector<int64_t>>& outputs) {
    const size_t first = size() - static_cast<size_t>(logits_BV.size(0));
    const auto tokens_B = choose_tokens(logits_BV, options_.sampling, uniforms(first, logits_BV.device()));
    const auto on_host_B = tokens_B.to(torch::kCPU);
    for (size_t i = first; i < size(); ++i)
      if (!rows_[i].ended()) rows_[i].take(on_host_B.const_data_ptr<int64_t>()[i - first], options_, outputs);
    return tokens_B;
  }
  // Returns the rows that go on.
  std::vector<int64_t> drop_ended() {
    std::vector<int64_t> kept;
    std::vector<GeneratedRow> rows;
    for (size_t i = 0; i < size(); ++i) {
      if (rows_[i].ended()) continue;
      kept.push_back(static_cast<int64_t>(i));
      rows.push_back(rows_[i]);
    }
    rows_ = std::move(rows);
    return kept;
  }

 private:
  torch::Tensor uniforms(size_t first, torch::Device device) {
    if (options_.sampling.temperature <= 0) return {};
    std::vector<double> numbers;
    for (size_t i = first; i < size(); ++i) numbers.push_back(rows_[i].uniform());
    return torch::tensor(numbers, torch::kFloat64).to(device);
  }

  const GenerateOptions& options_;
  std::vector<GeneratedRow> rows_;
};

// A prompt's context, then the rest of it.
torch::Tensor read_apart(Decoder& decoder, const std::vector<int64_t>& prompt, size_t context, int64_t chunk,
                         const GenerateOptions& options, std::unique_ptr<DecodingBatch>& batch) {
  ATTNLAB_CHECK(context > 0 && context < prompt.size());
  const auto middle = prompt.begin() + static_cast<std::ptrdiff_t>(context);
  const std::vector<int64_t> first(prompt.begin(), middle), rest(middle, prompt.end());
  batch = make_batch(decoder, {first}, std::ssize(rest) + options.max_new_tokens, chunk, options.cache);
  batch->prefill();
  return batch->extend(torch::tensor(rest).unsqueeze(0).to(decoder.device()));
}

std::vector<std::vector<int64_t>> generate_in_batches(Decoder& decoder,
                                                      const std::vector<std::vector<int64_t>>& prompts,
                                                      const GenerateOptions& options) {
  std::vector<std::vector<int64_t>> outputs(prompts.size());
  const bool apart = !options.context_tokens.empty();
  const size_t most = apart || options.batch_invariant ? 1
                      : options.batch_rows > 0         ? options.batch_rows
                                                       : prompts.size();
  const int64_t chunk = options.batch_invariant ? 1 : options.prefill_chunk;
  size_t next = 0;
  Rows rows(options);
  std::unique_ptr<DecodingBatch> batch;
  torch::Tensor tokens_B;
  // The prompts that take free places: their first tokens are chosen as they enter.
  const auto enter = [&] {
    std::vector<std::vector<int64_t>> entering;
    while (rows.size() < most && next < prompts.size()) {
      rows.add(next);
      entering.push_back(prompts[next++]);
    }
    if (entering.empty()) return;
    const auto start = std::chrono::steady_clock::now();
    torch::Tensor logits_BV;
    if (apart) {
      batch = nullptr;
      logits_BV = read_apart(decoder, entering[0], options.context_tokens.at(next - 1), chunk, options, batch);
    } else if (batch) {
      logits_BV = batch->enter(entering);
    } else {
      batch = make_batch(decoder, entering, options.max_new_tokens, chunk, options.cache);
      logits_BV = batch->prefill();
    }
    const auto first_B = rows.choose(logits_BV, outputs);
    if (options.report)
      options.report->prefill_seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    tokens_B = tokens_B.defined() ? torch::cat({tokens_B, first_B}) : first_B;
  };
  enter();
  while (rows.size() > 0) {
    // Leaving and entering copy the cache: they pay once a quarter of the rows has ended.
    if (4 * rows.active() <= 3 * rows.size()) {
      const auto kept = rows.drop_ended();
      if (kept.empty()) {
        batch.reset();
        tokens_B = torch::Tensor();
      } else {
        batch->keep(kept);
        tokens_B = tokens_B.index_select(0, torch::tensor(kept).to(tokens_B.device()));
      }
      enter();
      continue;  // those that entered may have ended with their first token
    }
    tokens_B = rows.choose(batch->step(tokens_B), outputs);
  }
  return outputs;
}

}  // namespace

std::vector<std::vector<int64_t>> generate(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerateOptions& options) {
  ATTNLAB_CHECK(options.prefill_chunk > 0);
  const c10::InferenceMode inference;  // views and versions are not kept track of
  if (options.max_new_tokens < 1 || prompts.empty()) return std::vector<std::vector<int64_t>>(prompts.size());
  std::string why_not = "not asked for";
  if (options.in_rows.value_or(true) && !options.batch_invariant) {
    const auto problem = rows_problem(decoder, prompts, options);
    if (!problem) return generate_in_rows(decoder, prompts, options);
    why_not = *problem;
  }
  if (options.report) *options.report = {.why_not = why_not};
  return generate_in_batches(decoder, prompts, options);
}

}  // namespace attnlab
