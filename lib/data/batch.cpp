#include "data/batch.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "core/errors.h"
#include "core/random.h"
#include "data/epochs.h"
#include "data/mixture.h"
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

// Positions that an example would take beyond a row's.
int64_t excess(int64_t tokens, const BatchConfig& config) {
  return std::max<int64_t>(0, tokens - 1 - config.sequence_length);
}

// One example as a row, cut off at sequence_length positions.
Row single_row(std::span<const StoredToken> tokens, const BatchConfig& config) {
  Row row;
  row.append(tokens.first(std::min(tokens.size(), static_cast<size_t>(config.sequence_length) + 1)),
             config.loss_on_prompt);
  return row;
}

Row isolated_row(const PackedRow& pieces, const TokenStore& store, const BatchConfig& config) {
  Row row;
  for (const Piece& piece : pieces)
    row.append(store.tokens(piece.document)
                   .subspan(static_cast<size_t>(piece.first), static_cast<size_t>(piece.count)),
               config.loss_on_prompt);
  return row;
}

// All tokens of a stream are targets.
Row stream_row(std::span<const StoredToken> tokens) {
  Row row;
  row.append(tokens, true);
  return row;
}

}  // namespace

struct BatchStream::Impl {
  std::shared_ptr<const Dataset> dataset;
  std::shared_ptr<const Tokenizer> tokenizer;
  BatchConfig config;
  uint64_t seed;
  std::optional<TokenStore> store;  // absent: lazy
  std::optional<Epochs> epochs;
  int64_t truncated = 0, lost = 0;
  mutable std::atomic<int64_t> truncated_lazily{0}, lost_lazily{0};

  // Tokens of an example that rows show.
  int64_t shown(int64_t index) const {
    const int64_t tokens = store->length(index);
    if (config.packing == Packing::stream) return tokens;
    return config.packing == Packing::none ? std::min(tokens - 1, config.sequence_length) : tokens - 1;
  }

  void start_epochs() {
    ExampleOrder order = [n = dataset->size(), key = mix64(seed)](int64_t epoch) {
      return permutation(n, key ^ static_cast<uint64_t>(epoch));
    };
    if (is_mixture())
      order = MixtureOrder(
          *dataset, [this](int64_t index) { return shown(index); }, seed);
    epochs.emplace(std::move(order), dataset->size(), !is_mixture(), store ? &*store : nullptr, config.packing,
                   config.sequence_length);
  }

  bool is_mixture() const { return !dataset->weights().empty(); }

  void count_truncated() {
    for (int64_t i = 0; i < store->size() && config.packing != Packing::stream; ++i) {
      const int64_t beyond = excess(store->length(i), config);
      truncated += beyond > 0;
      if (config.packing == Packing::none) lost += beyond;
    }
  }

  // Row `number` of the whole training: one example.
  Row example_row(int64_t number) const {
    const auto epoch = epochs->holding(number);
    const int64_t index = epoch->order[static_cast<size_t>(number - epoch->first_unit)];
    if (store) return single_row(store->tokens(index), config);
    const auto tokens = tokenise(dataset->get(index), *tokenizer, config);
    const int64_t beyond = excess(static_cast<int64_t>(tokens.size()), config);
    truncated_lazily += beyond > 0;
    lost_lazily += beyond;
    return single_row(tokens, config);
  }

  // Tokens [number·T, number·T + T] of the endless stream of epochs: neighbouring rows share one token, which
  // is the last target of the one and the first input of the other.
  Row packed_row(int64_t number) const {
    std::vector<StoredToken> row;
    const auto wanted = static_cast<size_t>(config.sequence_length) + 1;
    int64_t at = number * config.sequence_length;
    while (row.size() < wanted) {
      const auto epoch = epochs->holding(at);
      const int64_t offset = at - epoch->first_unit;
      const auto next = std::upper_bound(epoch->starts.begin(), epoch->starts.end(), offset);
      const auto document = static_cast<size_t>(next - epoch->starts.begin()) - 1;
      const auto tokens =
          store->tokens(epoch->order[document]).subspan(static_cast<size_t>(offset - epoch->starts[document]));
      const size_t taken = std::min(tokens.size(), wanted - row.size());
      row.insert(row.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(taken));
      at += static_cast<int64_t>(taken);
    }
    return stream_row(row);
  }

  // A row of documents of its own; the last one is cut off.
  Row drawn_row(int64_t number) const {
    std::vector<StoredToken> row;
    const auto wanted = static_cast<size_t>(config.sequence_length) + 1;
    Random random(seed ^ hash_name("packed row"), static_cast<uint64_t>(number));
    while (row.size() < wanted) {
      const auto tokens = tokenise(dataset->get(random.between(0, dataset->size() - 1)), *tokenizer, config);
      row.insert(row.end(), tokens.begin(), tokens.end());
    }
    row.resize(wanted);
    return stream_row(row);
  }

  Row row(int64_t number) const {
    if (config.packing == Packing::none) return example_row(number);
    if (config.packing == Packing::stream) return store ? packed_row(number) : drawn_row(number);
    const auto epoch = epochs->holding(number);
    return isolated_row(epoch->rows[static_cast<size_t>(number - epoch->first_unit)], *store, config);
  }
};

BatchStream::BatchStream(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Tokenizer> tokenizer,
                         const BatchConfig& config, uint64_t seed, int64_t lazy_limit, const TokenCache* cache)
    : impl_(std::make_unique<Impl>()) {
  validate(config, *tokenizer);
  impl_->dataset = std::move(dataset);
  impl_->tokenizer = std::move(tokenizer);
  impl_->config = config;
  impl_->seed = seed;
  const bool small = impl_->dataset->size() <= lazy_limit || impl_->dataset->in_memory();
  if (small || config.packing == Packing::isolated || impl_->is_mixture()) {
    impl_->store.emplace(*impl_->dataset, impl_->dataset->size(), *impl_->tokenizer, config, cache);
    if (impl_->store->total_tokens() == 0) throw InputError("the training data hold no tokens");
    impl_->count_truncated();
  }
  impl_->start_epochs();
  if (config.packing == Packing::isolated) impl_->epochs->holding(0);  // refuses data without a row
}

BatchStream::~BatchStream() = default;

Batch BatchStream::batch(int64_t step, int64_t micro_batch) const {
  const BatchConfig& config = impl_->config;
  ATTNLAB_CHECK(step >= 0 && micro_batch >= 0 && micro_batch < config.micro_batches);
  const int64_t first = (step * config.micro_batches + micro_batch) * config.batch_size;
  std::vector<Row> rows;
  for (int64_t r = 0; r < config.batch_size; ++r) rows.push_back(impl_->row(first + r));
  return make_batch(rows, config.pad_id, config.packing == Packing::isolated);
}

Row BatchStream::row(int64_t number) const { return impl_->row(number); }

std::vector<Batch> BatchStream::batches(int64_t step) const {
  std::vector<Batch> all;
  for (int64_t i = 0; i < impl_->config.micro_batches; ++i) all.push_back(batch(step, i));
  return all;
}

int64_t BatchStream::truncated_examples() const { return impl_->truncated + impl_->truncated_lazily; }
int64_t BatchStream::truncated_tokens() const { return impl_->lost + impl_->lost_lazily; }
int64_t BatchStream::tokens_per_epoch() const { return impl_->store ? impl_->store->total_tokens() : 0; }
std::vector<std::string> BatchStream::notes() const {
  return impl_->store ? impl_->store->notes() : std::vector<std::string>{};
}

namespace {

std::vector<Row> rows_in_order(const TokenStore& store, const BatchConfig& config) {
  std::vector<Row> rows;
  std::vector<StoredToken> stream;
  std::vector<int64_t> documents(static_cast<size_t>(store.size()));
  std::iota(documents.begin(), documents.end(), 0);
  for (const int64_t i : documents) {
    const auto tokens = store.tokens(i);
    if (config.packing == Packing::none) rows.push_back(single_row(tokens, config));
    if (config.packing == Packing::stream) stream.insert(stream.end(), tokens.begin(), tokens.end());
  }
  const auto columns = static_cast<size_t>(config.sequence_length);
  for (size_t at = 0; at + 1 < stream.size(); at += columns)
    rows.push_back(stream_row(std::span(stream).subspan(at, std::min(columns + 1, stream.size() - at))));
  if (config.packing == Packing::isolated)
    for (const auto& pieces : pack_rows(
             documents, [&](int64_t i) { return store.length(i); }, config.sequence_length))
      rows.push_back(isolated_row(pieces, store, config));
  return rows;
}

}  // namespace

std::vector<Batch> sequential_batches(const Dataset& dataset, const Tokenizer& tokenizer,
                                      const BatchConfig& config, int64_t limit) {
  validate(config, tokenizer);
  const int64_t count = limit < 0 ? dataset.size() : std::min(limit, dataset.size());
  const auto rows = rows_in_order(TokenStore(dataset, count, tokenizer, config), config);
  std::vector<Batch> batches;
  for (size_t at = 0; at < rows.size(); at += static_cast<size_t>(config.batch_size)) {
    const auto end = std::min(rows.size(), at + static_cast<size_t>(config.batch_size));
    batches.push_back(make_batch(
        {rows.begin() + static_cast<std::ptrdiff_t>(at), rows.begin() + static_cast<std::ptrdiff_t>(end)},
        config.pad_id, config.packing == Packing::isolated));
  }
  return batches;
}

}  // namespace attnlab
