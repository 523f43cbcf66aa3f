// Tokenised examples.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/token_cache.h"

namespace attnlab {

// A token as it is stored: its id, or ~id where it is not to be learnt (bos and the prompt).
using StoredToken = int32_t;
constexpr int64_t id_of(StoredToken token) { return token < 0 ? ~token : token; }
constexpr bool is_learnt(StoredToken token) { return token >= 0; }

// bos, prompt (or its parts), answer, eos. Prompt and answer are encoded apart, as generation will see them. An
// answer that ends with eos itself, as chat formats may, gets no second one.
std::vector<StoredToken> tokenise(const Example& example, const Tokenizer& tokenizer,
                                  const BatchConfig& config);

// Examples 0 … count-1 of a dataset, tokenised by several threads and stored one behind the other: in memory,
// or with a cache in a file that is made once (if the data are large enough to be worth it).
class TokenStore {
 public:
  TokenStore(const Dataset& dataset, int64_t count, const Tokenizer& tokenizer, const BatchConfig& config,
             const TokenCache* cache = nullptr);
  int64_t size() const { return static_cast<int64_t>(spans_.starts.size()) - 1; }
  std::span<const StoredToken> tokens(int64_t index) const;
  int64_t length(int64_t index) const { return static_cast<int64_t>(tokens(index).size()); }
  int64_t total_tokens() const { return static_cast<int64_t>(spans_.tokens.size()); }
  // spans_ point into this.
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;
  bool is_mapped() const { return file_.has_value(); }
  // What the user should know: a file was made anew, or could not be written.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::optional<TokenFile> file_;
  std::vector<StoredToken> tokens_;  // without a file
  std::vector<int64_t> starts_;
  TokenSpans spans_;
  std::vector<std::string> notes_;
};

// What becomes a row of a batch: inputs, the token that follows each (or ignored_target), and where each stands
// in its document.
struct Row {
  std::vector<int64_t> inputs, targets, positions;

  // Appends a document, or a piece of one: n tokens give n - 1 positions. Targets are the tokens to be learnt,
  // or all of them.
  void append(std::span<const StoredToken> tokens, bool learn_all);
};

// Rows, padded on the right with pad_id to the longest; the batch keeps positions where `isolated`.
Batch make_batch(const std::vector<Row>& rows, int64_t pad_id, bool isolated);

}  // namespace attnlab
