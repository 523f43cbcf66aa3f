#include "data/batch.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/errors.h"
#include "core/random.h"
#include "data/token_store.h"

namespace attnlab {
namespace {

void validate(const BatchConfig& config, const Tokenizer& tokenizer) {
  const auto at_least_one = [](const char* key, int64_t value) {
    if (value < 1)
      throw InputError(BadInput{.key = key, .found = std::to_string(value), .expected = "at least 1"});
  };
  at_least_one("batch_size", config.batch_size);
  at_least_one("micro_batches", config.micro_batches);
  at_least_one("sequence_length", config.sequence_length);
  const auto in_vocabulary = [&](const char* key, int64_t id) {
    if (id < 0 || id >= tokenizer.vocab_size())
      throw InputError(BadInput{.key = key,
                                .found = std::to_string(id),
                                .expected = "a token id below " + std::to_string(tokenizer.vocab_size())});
  };
  if (config.bos_id) in_vocabulary("bos_id", *config.bos_id);
  if (config.eos_id) in_vocabulary("eos_id", *config.eos_id);
  in_vocabulary("pad_id", config.pad_id);
}

// One epoch's order of the examples and, for packing, where each begins in the epoch's stream of tokens.
struct Epoch {
  int64_t number = -1;
  std::vector<int64_t> order, starts;
};

}  // namespace

struct BatchStream::Impl {
  std::shared_ptr<const Dataset> dataset;
  std::shared_ptr<const Tokenizer> tokenizer;
  BatchConfig config;
  uint64_t seed;
  std::optional<TokenStore> store;  // absent: lazy
  int64_t truncated = 0;
  mutable std::atomic<int64_t> truncated_lazily{0};
  mutable std::mutex mutex;
  mutable std::shared_ptr<const Epoch> cached[2];  // by parity: a packed row may reach into the next epoch

  std::shared_ptr<const Epoch> epoch(int64_t number) const {
    const std::lock_guard lock(mutex);
    auto& slot = cached[number % 2];
    if (!slot || slot->number != number) slot = make_epoch(number);
    return slot;
  }

  std::shared_ptr<const Epoch> make_epoch(int64_t number) const {
    auto made = std::make_shared<Epoch>();
    made->number = number;
    made->order = permutation(dataset->size(), mix64(seed) ^ static_cast<uint64_t>(number));
    if (!store || !config.packing) return made;
    int64_t at = 0;
    for (const int64_t index : made->order) {
      made->starts.push_back(at);
      at += static_cast<int64_t>(store->tokens(index).size());
    }
    return made;
  }

  bool is_too_long(size_t tokens) const { return static_cast<int64_t>(tokens) - 1 > config.sequence_length; }

  // Row `number` of the whole training: one example.
  Row example_row(int64_t number) const {
    const int64_t n = dataset->size();
    const int64_t index = epoch(number / n)->order[static_cast<size_t>(number % n)];
    if (store) return make_row(store->tokens(index), store->prompt_length(index), config);
    const TokenisedExample example = tokenise(dataset->get(index), *tokenizer, config);
    truncated_lazily += is_too_long(example.tokens.size());
    return make_row(example.tokens, example.prompt_length, config);
  }

  // Tokens [number·T, number·T + T] of the endless stream of epochs: neighbouring rows share one token, which
  // is the last target of the one and the first input of the other.
  Row packed_row(int64_t number) const {
    Row row;
    const auto wanted = static_cast<size_t>(config.sequence_length) + 1;
    int64_t at = number * config.sequence_length;
    while (row.tokens.size() < wanted) {
      const auto order = epoch(at / store->total_tokens());
      const int64_t offset = at % store->total_tokens();
      const auto next = std::upper_bound(order->starts.begin(), order->starts.end(), offset);
      const auto document = static_cast<size_t>(next - order->starts.begin()) - 1;
      const auto tokens =
          store->tokens(order->order[document]).subspan(static_cast<size_t>(offset - order->starts[document]));
      const size_t taken = std::min(tokens.size(), wanted - row.tokens.size());
      row.tokens.insert(row.tokens.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(taken));
      at += static_cast<int64_t>(taken);
    }
    return row;
  }

  // A row of documents of its own; the last one is cut off.
  Row drawn_row(int64_t number) const {
    Row row;
    const auto wanted = static_cast<size_t>(config.sequence_length) + 1;
    Random random(seed ^ hash_name("packed row"), static_cast<uint64_t>(number));
    while (row.tokens.size() < wanted) {
      const auto example = tokenise(dataset->get(random.between(0, dataset->size() - 1)), *tokenizer, config);
      row.tokens.insert(row.tokens.end(), example.tokens.begin(), example.tokens.end());
    }
    row.tokens.resize(wanted);
    return row;
  }

  Row row(int64_t number) const {
    if (!config.packing) return example_row(number);
    return store ? packed_row(number) : drawn_row(number);
  }
};

BatchStream::BatchStream(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Tokenizer> tokenizer,
                         const BatchConfig& config, uint64_t seed, int64_t lazy_limit)
    : impl_(std::make_unique<Impl>()) {
  validate(config, *tokenizer);
  impl_->dataset = std::move(dataset);
  impl_->tokenizer = std::move(tokenizer);
  impl_->config = config;
  impl_->seed = seed;
  if (impl_->dataset->size() > lazy_limit) return;
  const TokenStore& store =
      impl_->store.emplace(*impl_->dataset, impl_->dataset->size(), *impl_->tokenizer, config);
  if (store.total_tokens() == 0) throw InputError("the training data hold no tokens");
  for (int64_t i = 0; i < store.size() && !config.packing; ++i)
    impl_->truncated += impl_->is_too_long(store.tokens(i).size());
}

BatchStream::~BatchStream() = default;

Batch BatchStream::batch(int64_t step, int64_t micro_batch) const {
  const BatchConfig& config = impl_->config;
  ATTNLAB_CHECK(step >= 0 && micro_batch >= 0 && micro_batch < config.micro_batches);
  const int64_t first = (step * config.micro_batches + micro_batch) * config.batch_size;
  std::vector<Row> rows;
  for (int64_t r = 0; r < config.batch_size; ++r) rows.push_back(impl_->row(first + r));
  return make_batch(rows, config.pad_id);
}

std::vector<Batch> BatchStream::batches(int64_t step) const {
  std::vector<Batch> all;
  for (int64_t i = 0; i < impl_->config.micro_batches; ++i) all.push_back(batch(step, i));
  return all;
}

int64_t BatchStream::truncated_examples() const { return impl_->truncated + impl_->truncated_lazily; }
int64_t BatchStream::tokens_per_epoch() const { return impl_->store ? impl_->store->total_tokens() : 0; }

std::vector<Batch> sequential_batches(const Dataset& dataset, const Tokenizer& tokenizer,
                                      const BatchConfig& config, int64_t limit) {
  validate(config, tokenizer);
  const int64_t count = limit < 0 ? dataset.size() : std::min(limit, dataset.size());
  const TokenStore store(dataset, count, tokenizer, config);
  std::vector<Row> rows;
  std::vector<int32_t> stream;
  for (int64_t i = 0; i < count; ++i) {
    const auto tokens = store.tokens(i);
    if (config.packing) {
      stream.insert(stream.end(), tokens.begin(), tokens.end());
    } else {
      rows.push_back(make_row(tokens, store.prompt_length(i), config));
    }
  }
  for (size_t at = 0; at + 1 < stream.size(); at += static_cast<size_t>(config.sequence_length))
    rows.push_back(make_row(std::span(stream).subspan(at), 1, config));
  std::vector<Batch> batches;
  for (size_t at = 0; at < rows.size(); at += static_cast<size_t>(config.batch_size)) {
    const auto end = std::min(rows.size(), at + static_cast<size_t>(config.batch_size));
    batches.push_back(make_batch(
        {rows.begin() + static_cast<std::ptrdiff_t>(at), rows.begin() + static_cast<std::ptrdiff_t>(end)},
        config.pad_id));
  }
  return batches;
}

}  // namespace attnlab
