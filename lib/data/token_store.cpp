#include "data/token_store.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "core/errors.h"

namespace attnlab {
namespace {

// Calls work(i) for 0 <= i < count from several threads; rethrows the first exception.
template <class Work>
void parallel_for(int64_t count, Work work) {
  const int64_t n_threads = std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, 16);
  std::vector<std::exception_ptr> failures(static_cast<size_t>(n_threads));
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < n_threads; ++t)
    threads.emplace_back([&, t] {
      try {
        for (int64_t i = t; i < count; i += n_threads) work(i);
      } catch (...) {
        failures[static_cast<size_t>(t)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

TokenisedExample tokenise(const Example& example, const Tokenizer& tokenizer, const BatchConfig& config) {
  TokenisedExample out;
  const auto append = [&](const std::vector<int64_t>& ids) {
    for (const int64_t id : ids) out.tokens.push_back(static_cast<int32_t>(id));
  };
  if (config.bos_id) append({*config.bos_id});
  if (!example.prompt.empty()) append(tokenizer.encode(example.prompt));
  out.prompt_length = static_cast<int64_t>(out.tokens.size());
  const std::vector<int64_t> answer = tokenizer.encode(example.answer);
  append(answer);
  if (config.eos_id && (answer.empty() || answer.back() != *config.eos_id)) append({*config.eos_id});
  return out;
}

TokenStore::TokenStore(const Dataset& dataset, int64_t count, const Tokenizer& tokenizer,
                       const BatchConfig& config) {
  std::vector<TokenisedExample> examples(static_cast<size_t>(count));
  parallel_for(count, [&](int64_t i) {
    examples[static_cast<size_t>(i)] = tokenise(dataset.get(i), tokenizer, config);
  });
  for (TokenisedExample& example : examples) {
    tokens_.insert(tokens_.end(), example.tokens.begin(), example.tokens.end());
    starts_.push_back(static_cast<int64_t>(tokens_.size()));
    prompt_lengths_.push_back(example.prompt_length);
    example.tokens = {};
  }
}

std::span<const int32_t> TokenStore::tokens(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  return std::span(tokens_).subspan(static_cast<size_t>(starts_[i]),
                                    static_cast<size_t>(starts_[i + 1] - starts_[i]));
}

Row make_row(std::span<const int32_t> tokens, int64_t prompt_length, const BatchConfig& config) {
  const size_t kept = std::min(tokens.size(), static_cast<size_t>(config.sequence_length) + 1);
  return {.tokens = std::vector<int32_t>(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(kept)),
          .first_target = config.loss_on_prompt ? 1 : std::max<int64_t>(prompt_length, 1)};
}

Batch make_batch(const std::vector<Row>& rows, int64_t pad_id) {
  Batch batch{.rows = static_cast<int64_t>(rows.size())};
  for (const Row& row : rows)
    batch.columns = std::max(batch.columns, static_cast<int64_t>(row.tokens.size()) - 1);
  const auto cells = static_cast<size_t>(batch.rows * batch.columns);
  batch.input_ids.assign(cells, pad_id);
  batch.targets.assign(cells, ignored_target);
  for (size_t r = 0; r < rows.size(); ++r) {
    const size_t start = r * static_cast<size_t>(batch.columns);
    const std::vector<int32_t>& tokens = rows[r].tokens;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      batch.input_ids[start + t] = tokens[t];
      ++batch.tokens;
      if (static_cast<int64_t>(t) + 1 < rows[r].first_target) continue;
      batch.targets[start + t] = tokens[t + 1];
      ++batch.loss_tokens;
    }
  }
  return batch;
}

}  // namespace attnlab
