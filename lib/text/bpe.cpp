#include "text/bpe.h"

#include <array>
#include <cstdio>
#include <mutex>
#include <queue>

#include "text/utf8.h"

namespace attnlab::text {
namespace {
constexpr size_t kLongestCachedWord = 128;  // bytes
constexpr size_t kShards = 16;
constexpr size_t kWordsPerShard = 8192;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
}  // namespace

// Words seen before, in shards so that threads seldom wait for each other. A full shard takes no more words:
// the frequent ones come early.
class Bpe::WordCache {
 public:
  bool append(std::string_view word, std::vector<int64_t>& ids) {
    Shard& shard = shard_of(word);
    const std::scoped_lock lock(shard.mutex);
    const auto entry = shard.words.find(word);
    if (entry == shard.words.end()) return false;
    ids.insert(ids.end(), entry->second.begin(), entry->second.end());
    return true;
  }
  void store(std::string_view word, const std::vector<int32_t>& ids) {
    Shard& shard = shard_of(word);
    const std::scoped_lock lock(shard.mutex);
    if (shard.words.size() < kWordsPerShard) shard.words.emplace(word, ids);
  }

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<int32_t>, StringHash, std::equal_to<>> words;
  };
  Shard& shard_of(std::string_view word) { return shards_[(StringHash{}(word) >> 32) % kShards]; }

  std::array<Shard, kShards> shards_;
};

// A word while it is being merged: symbols in a doubly linked list, candidate merges in a heap by (rank,
// place).
class Bpe::Word {
 public:
  Word(const std::vector<int32_t>& symbols, const std::unordered_map<uint64_t, Merge>& merges)
      : merges_(merges) {
    const auto n = static_cast<int32_t>(symbols.size());
    symbols_.reserve(symbols.size());
    for (int32_t i = 0; i < n; ++i)
      symbols_.push_back({symbols[static_cast<size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1});
    for (int32_t i = 0; i < n; ++i) propose(i);
  }

  std::vector<int32_t> merge_all() {
    while (!candidates_.empty()) {
      const Candidate best = candidates_.top();
      candidates_.pop();
      if (still_holds(best)) merge(best);
    }
    std::vector<int32_t> ids;
    for (int32_t i = symbols_.empty() ? -1 : 0; i >= 0; i = symbols_[static_cast<size_t>(i)].next)
      ids.push_back(symbols_[static_cast<size_t>(i)].id);
    return ids;
  }

 private:
  struct Symbol {
    int32_t id, previous, next;  // id -1: merged into the symbol before
  };
  struct Candidate {
    int32_t rank, left, id;
    bool operator<(const Candidate& other) const {  // the heap's top is the greatest
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  Symbol& at(int32_t i) { return symbols_[static_cast<size_t>(i)]; }

  const Merge* merge_of(int32_t left) {
    if (at(left).id < 0 || at(left).next < 0) return nullptr;
    const auto found = merges_.find(pair_key(at(left).id, at(at(left).next).id));
    return found == merges_.end() ? nullptr : &found->second;
  }
  void propose(int32_t left) {
    if (const Merge* merge = merge_of(left)) candidates_.push({merge->rank, left, merge->id});
  }
  // A candidate is out of date once one of its two symbols has been merged elsewhere.
  bool still_holds(const Candidate& candidate) {
    const Merge* merge = merge_of(candidate.left);
    return merge && merge->id == candidate.id;
  }
  void merge(const Candidate& candidate) {
    Symbol& left = at(candidate.left);
    Symbol& right = at(left.next);
    left.id = candidate.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = candidate.left;
    if (left.previous >= 0) propose(left.previous);
    propose(candidate.left);
  }

  const std::unordered_map<uint64_t, Merge>& merges_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Candidate> candidates_;
};

Bpe::Bpe(Vocabulary vocabulary, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), options_(options), cache_(std::make_unique<WordCache>()) {
  for (int byte = 0; byte < 256; ++byte) {
    std::array<char, 8> token;
    std::snprintf(token.data(), token.size(), "<0x%02X>", byte);
    byte_ids_.push_back(id(token.data()).value_or(-1));
  }
}
Bpe::~Bpe() = default;
Bpe::Bpe(Bpe&&) noexcept = default;
Bpe& Bpe::operator=(Bpe&&) noexcept = default;

void Bpe::add_merge(int32_t left, int32_t right, Merge merge) {
  merges_.insert_or_assign(pair_key(left, right), merge);
}

std::optional<int32_t> Bpe::id(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end()) return std::nullopt;
  return found->second;
}

bool Bpe::append_bytes(std::string_view character, std::vector<int32_t>& symbols) const {
  for (const char byte : character)
    if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  for (const char byte : character) symbols.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  return true;
}

std::vector<int32_t> Bpe::characters(std::string_view word) const {
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  bool unknown_pending = false;  // an unknown run is written when the next known character ends it
  const auto end_unknown = [&] {
    if (unknown_pending) symbols.push_back(*options_.unk_id);
    unknown_pending = false;
  };
  for (size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, char_length(static_cast<unsigned char>(word[at])));
    at += character.size();
    if (const auto known = id(character)) {
      end_unknown();
      symbols.push_back(*known);
    } else if (!(options_.byte_fallback && append_bytes(character, symbols)) && options_.unk_id) {
      if (!options_.fuse_unk) end_unknown();
      unknown_pending = true;
    }
  }
  end_unknown();
  return symbols;
}

void Bpe::encode(std::string_view word, std::vector<int64_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = id(word)) {
      ids.push_back(*whole);
      return;
    }
  }
  const bool cached = word.size() <= kLongestCachedWord;
  if (cached && cache_->append(word, ids)) return;
  const std::vector<int32_t> merged = Word(characters(word), merges_).merge_all();
  ids.insert(ids.end(), merged.begin(), merged.end());
  if (cached) cache_->store(word, merged);
}

}  // namespace attnlab::text
