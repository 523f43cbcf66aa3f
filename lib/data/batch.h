// Batches of token ids. Shapes: [rows, columns], row-major.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/packing.h"
#include "text/tokenizer.h"

namespace attnlab {

// The target of a position that is not trained (the default ignore_index of cross-entropy).
constexpr int64_t ignored_target = -100;

struct Batch {
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> input_ids;  // [rows, columns]
  std::vector<int64_t> targets;    // [rows, columns]: the token that follows, or ignored_target
  std::vector<int64_t> positions;  // [rows, columns]: place of each token in its document, 0 in padding; empty:
                                   // a row is one sequence
  int64_t tokens = 0;              // positions that are not padding
  int64_t loss_tokens = 0;         // positions with a target
};

struct BatchConfig {
  int64_t batch_size = 8;     // rows of one batch
  int64_t micro_batches = 1;  // batches of one step
  int64_t sequence_length = 256;
  Packing packing = Packing::none;
  bool loss_on_prompt = false;
  std::optional<int64_t> bos_id;  // starts every document, if given
  std::optional<int64_t> eos_id;  // ends every document, if given
  int64_t pad_id = 0;
};

struct TokenCache;  // token_cache.h
struct Row;         // token_store.h

// Training batches; each is a pure function of the data, the config, the seed, step and micro-batch.
//
// Packing::none: one example a row, right-padded to the longest row of the batch, cut off at sequence_length
// positions. Targets are the answer's tokens and eos; with loss_on_prompt all but the first. Examples come in a
// new permutation each epoch.
// Packing::stream: documents in the same order, one behind the other and across epochs, are cut into rows of
// exactly sequence_length positions; every token but the very first is a target exactly once an epoch.
// Packing::isolated: documents in nearly the same order (pack_rows), whole, as many as fit side by side, with
// the targets that they have alone; those longer than a row are cut into pieces, which are documents of their
// own. Rows are right-padded as without packing.
//
// A mixture's examples come in the order of MixtureOrder, by tokens that rows show.
//
// Datasets in memory, of up to lazy_above examples, mixtures, and data to be isolated are tokenised once, by
// several threads. Larger ones are tokenised when they are drawn; streamed rows then draw documents of their
// own, with replacement, until they are full.
class BatchStream {
 public:
  static constexpr int64_t lazy_above = 2000000;

  // `cache`: where the tokens of large data are kept; they are the same without. Throws InputError if the
  // config's numbers make no batches (sizes below 1, ids outside the vocabulary).
  BatchStream(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Tokenizer> tokenizer,
              const BatchConfig& config, uint64_t seed, int64_t lazy_limit = lazy_above,
              const TokenCache* cache = nullptr);
  ~BatchStream();

  // 0 <= micro_batch < config.micro_batches. May be called from several threads at once.
  Batch batch(int64_t step, int64_t micro_batch = 0) const;
  // All micro-batches of a step.
  std::vector<Batch> batches(int64_t step) const;

  // Row `number` of the whole training, of which batches have batch_size each.
  Row row(int64_t number) const;

  // Examples longer than a row: cut off without packing, cut into pieces where isolated; a stream has none. For
  // lazy streams those drawn so far.
  int64_t truncated_examples() const;
  // Their tokens that no row shows; 0 with packing.
  int64_t truncated_tokens() const;
  // Tokens of all examples with bos and eos; 0 for lazy streams.
  int64_t tokens_per_epoch() const;
  // Where the tokens come from is the user's to know: see TokenStore::notes.
  std::vector<std::string> notes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The first `limit` examples (all if limit < 0) in order, for held-out loss; the last batch may have fewer
// rows. In a stream only the last row is padded.
std::vector<Batch> sequential_batches(const Dataset& dataset, const Tokenizer& tokenizer,
                                      const BatchConfig& config, int64_t limit = -1);

}  // namespace attnlab
