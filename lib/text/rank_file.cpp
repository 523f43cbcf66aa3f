#include "text/rank_file.h"

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "core/numbers.h"
#include "text/byte_level.h"
#include "text/encodings.h"

namespace attnlab::text {
namespace {

struct Line {
  std::string_view token;  // base64
  std::string_view rank;
};

// One space between the two; a carriage return at the end is left out.
std::optional<Line> cut_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size()) return std::nullopt;
  return Line{line.substr(0, space), line.substr(space + 1)};
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648, section 4: groups of four, the last one padded.
std::optional<std::string> base64_bytes(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    buffer = buffer << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(buffer >> bits & 0xFF);
  }
  return bytes;
}

std::optional<int32_t> rank_of(std::string_view text) {
  const auto rank = parse_number<int32_t>(text);
  return rank && *rank >= 0 ? rank : std::nullopt;
}

class RankReader {
 public:
  RankReader(std::string_view bytes, const std::string& file) : file_(file) {
    for (size_t at = 0; at < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', at), bytes.size());
      ++line_;
      read_line(bytes.substr(at, end - at));
      at = end + 1;
    }
    require_no_holes();
  }

  Vocabulary tokens;  // bytes to rank

 private:
  [[noreturn]] void reject(std::string_view found, std::string expected) const {
    throw InputError(BadInput{.file = file_,
                              .line = line_,
                              .found = "'" + utf8_lossy(found.substr(0, 40)) + "'",
                              .expected = std::move(expected)});
  }

  void read_line(std::string_view text) {
    const auto line = cut_line(text);
    if (!line) reject(text, "a base64 token, one space and its rank");
    const auto token = base64_bytes(line->token);
    if (!token) reject(line->token, "a token in base64");
    const auto rank = rank_of(line->rank);
    if (!rank) reject(line->rank, "a rank, a whole number from 0");
    if (!lines_.emplace(*rank, line_).second)
      reject(line->rank, "a rank that no other token has (line " + std::to_string(lines_[*rank]) + ")");
    if (!tokens.emplace(*token, *rank).second) reject(line->token, "a token that is not there twice");
  }

  // Ranks are different; if all are below their number, none is missing.
  void require_no_holes() {
    for (const auto& [rank, line] : lines_) {
      if (static_cast<size_t>(rank) < lines_.size()) continue;
      line_ = line;
      reject(std::to_string(rank), "ranks without a hole: 0 to " + std::to_string(lines_.size() - 1));
    }
  }

  std::string file_;
  int64_t line_ = 0;
  std::unordered_map<int32_t, int64_t> lines_;  // of each rank
};

const Encoding& encoding_of(size_t ranks, const std::string& file) {
  std::string known;
  for (const Encoding& encoding : known_encodings()) {
    if (static_cast<size_t>(encoding.ranks) == ranks) return encoding;
    if (!known.empty()) known += ", ";
    known += encoding.name;
    known += " (" + std::to_string(encoding.ranks) + ")";
  }
  throw InputError(BadInput{.file = file,
                            .found = std::to_string(ranks) + " ranks",
                            .expected = "the number of ranks of a known encoding: " + known});
}

void require_all_bytes(const Vocabulary& tokens, const std::string& file) {
  for (int byte = 0; byte < 256; ++byte)
    if (!tokens.contains(std::string(1, static_cast<char>(byte))))
      throw InputError(BadInput{.file = file,
                                .found = "no token for the byte " + std::to_string(byte),
                                .expected = "a token for each byte"});
}

// Every way to cut a token in two tokens is a merge with the token's rank.
Bpe make_model(const Vocabulary& tokens) {
  Vocabulary spelled;
  spelled.reserve(tokens.size());
  for (const auto& [token, rank] : tokens) {
    std::string surface;
    append_byte_level(token, surface);
    spelled.emplace(std::move(surface), rank);
  }
  Bpe model(std::move(spelled), {.ignore_merges = true});
  for (const auto& [token, rank] : tokens)
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = tokens.find(std::string_view(token).substr(0, cut));
      const auto right = tokens.find(std::string_view(token).substr(cut));
      if (left != tokens.end() && right != tokens.end())
        model.add_merge(left->second, right->second, {rank, rank});
    }
  return model;
}

void add_tokens(const Encoding& encoding, TokenizerParts& parts) {
  int32_t id = encoding.ranks;
  for (const std::string& content : encoding.special_tokens)
    parts.added_tokens.push_back({.id = id++, .content = content, .special = true});
  for (const std::string& content : encoding.added_tokens)
    parts.added_tokens.push_back({.id = id++, .content = content});
  for (const AddedToken& token : parts.added_tokens) {
    if (token.content == encoding.bos) parts.bos_id = token.id;
    if (token.content == encoding.eos) parts.eos_id = token.id;
  }
  if (parts.bos_id) parts.around.before = {*parts.bos_id};
}

}  // namespace

bool looks_like_rank_file(std::string_view bytes) {
  const auto line = cut_line(bytes.substr(0, std::min(bytes.find('\n'), bytes.size())));
  return line && base64_bytes(line->token) && rank_of(line->rank);
}

TokenizerParts read_rank_file(std::string_view bytes, const std::string& file) {
  const RankReader reader(bytes, file);
  const Encoding& encoding = encoding_of(reader.tokens.size(), file);
  require_all_bytes(reader.tokens, file);
  TokenizerParts parts{.normalizer = {}, .pre_tokenizer = {}, .model = make_model(reader.tokens)};
  parts.pre_tokenizer.steps = {SplitStep{.pattern = Pattern::regex(encoding.expression)}, ByteLevelStep{}};
  parts.decoder = Decoder{.steps = {ByteLevelDecoder{}}};
  add_tokens(encoding, parts);
  return parts;
}

}  // namespace attnlab::text
