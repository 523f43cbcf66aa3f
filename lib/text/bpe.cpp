#include "text/bpe.h"

#include <algorithm>
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
constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, a space in models with byte fallback

// The first mark behind `from` that follows another character than a mark.
size_t next_word(std::string_view text, size_t from) {
  for (size_t at = text.find(kMark, from); at != std::string_view::npos;
       at = text.find(kMark, at + kMark.size()))
    if (at > 0 && !text.substr(0, at).ends_with(kMark)) return at;
  return std::string_view::npos;
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
  Word(const std::vector<int32_t>& symbols, const PairTable& merges) : merges_(merges) {
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
    int32_t left_id, right_id;                      // when it was proposed
    bool operator<(const Candidate& other) const {  // the heap's top is the greatest
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  Symbol& at(int32_t i) { return symbols_[static_cast<size_t>(i)]; }

  const Merge* merge_of(int32_t left) {
    if (at(left).id < 0 || at(left).next < 0) return nullptr;
    return merges_.find(at(left).id, at(at(left).next).id);
  }
  void propose(int32_t left) {
    const Merge* merge = merge_of(left);
    if (merge) candidates_.push({merge->rank, left, merge->id, at(left).id, at(at(left).next).id});
  }
  // A candidate is out of date once one of its two symbols has been merged elsewhere, unless what stands there
  // now makes the same token: the reference merges it at the old candidate's turn.
  bool still_holds(const Candidate& candidate) {
    const Symbol& left = at(candidate.left);
    if (left.id == candidate.left_id && left.next >= 0 && at(left.next).id == candidate.right_id) return true;
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

  const PairTable& merges_;
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
  for (char32_t c = 0; c < short_characters_.size(); ++c) {
    std::string character;
    append_utf8(c, character);
    short_characters_[c] = id(character).value_or(-1);
  }
  const auto spans_mark = [](const auto& token) { return next_word(token.first, 0) != std::string_view::npos; };
  cuts_at_mark_ =
      !options_.ignore_merges && id(kMark) && std::none_of(vocabulary_.begin(), vocabulary_.end(), spans_mark);
}
Bpe::~Bpe() = default;
Bpe::Bpe(Bpe&&) noexcept = default;
Bpe& Bpe::operator=(Bpe&&) noexcept = default;

void Bpe::add_merge(int32_t left, int32_t right, Merge merge) { merges_.set(left, right, merge); }

std::optional<int32_t> Bpe::id(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end()) return std::nullopt;
  return found->second;
}

std::optional<int32_t> Bpe::character_id(std::string_view character) const {
  if (character.size() > 2) return id(character);
  const int32_t known = short_characters_[first_code_point(character)];
  return known < 0 ? std::nullopt : std::optional<int32_t>(known);
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
    if (const auto known = character_id(character)) {
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
  for (size_t at = 0; at < word.size();) {
    const size_t end = cuts_at_mark_ ? std::min(next_word(word, at + 1), word.size()) : word.size();
    encode_segment(word.substr(at, end - at), ids);
    at = end;
  }
}

void Bpe::encode_segment(std::string_view segment, std::vector<int64_t>& ids) const {
  const bool cached = segment.size() <= kLongestCachedWord;
  if (cached && cache_->append(segment, ids)) return;
  const std::vector<int32_t> merged = Word(characters(segment), merges_).merge_all();
  ids.insert(ids.end(), merged.begin(), merged.end());
  if (cached) cache_->store(segment, merged);
}

}  // namespace attnlab::text
