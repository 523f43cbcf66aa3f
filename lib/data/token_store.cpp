#include "data/token_store.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "core/cores.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Calls work(i) for 0 <= i < count from several threads; rethrows the first exception.
template <class Work>
void parallel_for(int64_t count, Work work) {
  const int64_t n_threads = std::min<int64_t>(usable_cores(), 16);
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

std::vector<StoredToken> tokenise(const Example& example, const Tokenizer& tokenizer,
                                  const BatchConfig& config) {
  std::vector<StoredToken> out;
  const auto append = [&](const std::vector<int64_t>& ids, bool learnt) {
    for (const int64_t id : ids) out.push_back(static_cast<StoredToken>(learnt ? id : ~id));
  };
  if (config.bos_id) append({*config.bos_id}, false);
  if (example.parts.empty() && !example.prompt.empty()) append(tokenizer.encode(example.prompt), false);
  for (const PromptPart& part : example.parts) {
    if (part.begins && config.bos_id) append({*config.bos_id}, false);
    append(tokenizer.encode(part.text), part.learnt);
    if (part.ends && config.eos_id) append({*config.eos_id}, part.learnt);
  }
  const std::vector<int64_t> answer = tokenizer.encode(example.answer);
  append(answer, true);
  if (config.eos_id && (answer.empty() || answer.back() != *config.eos_id)) append({*config.eos_id}, true);
  return out;
}

namespace {

// Tokenises in pieces, so that no more than a piece is held beside what `append` keeps.
template <class Append>
void tokenise_all(const Dataset& dataset, int64_t count, const Tokenizer& tokenizer, const BatchConfig& config,
                  Append append) {
  constexpr int64_t piece = 65536;
  std::vector<std::vector<StoredToken>> examples;
  for (int64_t first = 0; first < count; first += piece) {
    examples.assign(static_cast<size_t>(std::min(piece, count - first)), {});
    parallel_for(static_cast<int64_t>(examples.size()), [&](int64_t i) {
      examples[static_cast<size_t>(i)] = tokenise(dataset.get(first + i), tokenizer, config);
    });
    for (const auto& example : examples) append(example);
  }
}

}  // namespace

TokenStore::TokenStore(const Dataset& dataset, int64_t count, const Tokenizer& tokenizer,
                       const BatchConfig& config, const TokenCache* cache) {
  if (cache) {
    int64_t bytes = 0;
    const auto key = token_key(dataset, count, cache->tokenizer_sha256, config.bos_id, config.eos_id, bytes);
    const auto make = [&](TokenFileWriter& writer) {
      tokenise_all(dataset, count, tokenizer, config, [&](const auto& tokens) { writer.append(tokens); });
    };
    if (bytes >= cache->worthwhile_bytes) file_ = open_or_make(*cache, key, make, notes_);
  }
  if (file_) {
    spans_ = file_->spans();
    return;
  }
  starts_.push_back(0);
  tokenise_all(dataset, count, tokenizer, config, [&](const auto& tokens) {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    starts_.push_back(static_cast<int64_t>(tokens_.size()));
  });
  spans_ = {.tokens = tokens_, .starts = starts_};
}

std::span<const StoredToken> TokenStore::tokens(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  const auto first = static_cast<size_t>(spans_.starts[i]), end = static_cast<size_t>(spans_.starts[i + 1]);
  return spans_.tokens.subspan(first, end - first);
}

void Row::append(std::span<const StoredToken> tokens, bool learn_all) {
  for (size_t t = 0; t + 1 < tokens.size(); ++t) {
    inputs.push_back(id_of(tokens[t]));
    targets.push_back(learn_all || is_learnt(tokens[t + 1]) ? id_of(tokens[t + 1]) : ignored_target);
    positions.push_back(static_cast<int64_t>(t));
  }
}

Batch make_batch(const std::vector<Row>& rows, int64_t pad_id, bool isolated) {
  Batch batch{.rows = static_cast<int64_t>(rows.size())};
  for (const Row& row : rows) batch.columns = std::max(batch.columns, static_cast<int64_t>(row.inputs.size()));
  const auto cells = static_cast<size_t>(batch.rows * batch.columns);
  batch.input_ids.assign(cells, pad_id);
  batch.targets.assign(cells, ignored_target);
  if (isolated) batch.positions.assign(cells, 0);
  for (size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    const auto start = static_cast<std::ptrdiff_t>(r) * batch.columns;
    std::copy(row.inputs.begin(), row.inputs.end(), batch.input_ids.begin() + start);
    std::copy(row.targets.begin(), row.targets.end(), batch.targets.begin() + start);
    if (isolated) std::copy(row.positions.begin(), row.positions.end(), batch.positions.begin() + start);
    batch.tokens += static_cast<int64_t>(row.inputs.size());
    batch.loss_tokens += std::count_if(row.targets.begin(), row.targets.end(),
                                       [](int64_t target) { return target != ignored_target; });
  }
  return batch;
}

}  // namespace attnlab
