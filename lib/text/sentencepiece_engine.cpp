#include "text/sentencepiece_engine.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "core/errors.h"
#include "text/bpe.h"
#include "text/utf8.h"

namespace attnlab::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, the library's space

[[noreturn]] void refuse(const std::string& file, const std::string& reason) {
  throw InputError(BadInput{.file = file, .found = reason, .expected = "a sentencepiece model"});
}

// A protocol buffer's variable-length number at `at`, which moves behind it; nothing if it is cut off.
std::optional<uint64_t> varint(std::string_view bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// A model is pieces (field 1) followed by the trainer's and the normaliser's settings (2 and 3), all with their
// lengths. Cut off between two pieces it is still a valid message, whose settings would all be defaults.
bool is_whole(std::string_view bytes) {
  bool settings = false;
  for (size_t at = 0; at < bytes.size();) {
    const auto tag = varint(bytes, at);
    const auto length = varint(bytes, at);
    if (!tag || (*tag & 7) != 2 || !length || *length > bytes.size() - at) return false;
    settings = settings || *tag >> 3 == 2;
    at += *length;
  }
  return settings;
}

class SentencePieceEngine : public TokenizerEngine {
 public:
  SentencePieceEngine(std::string_view bytes, const std::string& file);

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<int64_t> token_id(std::string_view token) const override;
  int64_t longest_token_bytes() const override { return static_cast<int64_t>(longest_piece_); }
  std::optional<int64_t> bos_id() const override { return id_if_any(processor_.bos_id()); }
  std::optional<int64_t> eos_id() const override { return id_if_any(processor_.eos_id()); }

 private:
  static std::optional<int64_t> id_if_any(int id) { return id < 0 ? std::nullopt : std::optional<int64_t>(id); }
  void note_piece(int id, const std::string& file);
  std::string decode_run(const std::vector<int>& ids, bool at_start) const;

  sentencepiece::SentencePieceProcessor processor_;
  Vocabulary ids_;  // by surface form
  size_t longest_piece_ = 0;
  bool drops_first_space_ = false;  // decoding takes off the space that encoding put in front
};

SentencePieceEngine::SentencePieceEngine(std::string_view bytes, const std::string& file) {
  if (!is_whole(bytes)) refuse(file, "bytes that are none, or not all of one");
  const auto status = processor_.LoadFromSerializedProto(bytes);
  if (!status.ok()) refuse(file, "one that the library refuses (" + std::string(status.message()) + ")");
  if (processor_.GetPieceSize() == 0) refuse(file, "no pieces");
  for (int id = 0; id < processor_.GetPieceSize(); ++id) note_piece(id, file);
}

void SentencePieceEngine::note_piece(int id, const std::string& file) {
  const std::string& piece = processor_.IdToPiece(id);
  if (!ids_.emplace(piece, id).second) refuse(file, "the piece '" + piece + "' twice");
  longest_piece_ = std::max(longest_piece_, piece.size());
  if (drops_first_space_ || !piece.starts_with(kSpaceMark) || piece == kSpaceMark) return;
  std::string alone;
  drops_first_space_ = processor_.Decode(std::vector<int>{id}, &alone).ok() && !alone.starts_with(' ');
}

std::vector<int64_t> SentencePieceEngine::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int> pieces;
  const auto status = processor_.Encode(text, &pieces);
  if (!status.ok()) throw RunError("sentencepiece: " + status.ToString());
  std::vector<int64_t> ids;
  ids.reserve(pieces.size() + 1);
  if (add_special_tokens && processor_.bos_id() >= 0) ids.push_back(processor_.bos_id());
  ids.insert(ids.end(), pieces.begin(), pieces.end());
  return ids;
}

// The text of pieces without control pieces. Only the first run of a text begins with the space that encoding
// puts in front, and the library takes it off every run.
std::string SentencePieceEngine::decode_run(const std::vector<int>& ids, bool at_start) const {
  if (ids.empty()) return "";
  std::string text;
  const auto status = processor_.Decode(ids, &text);
  if (!status.ok()) throw RunError("sentencepiece: " + status.ToString());
  const bool space_lost =
      !at_start && drops_first_space_ && processor_.IdToPiece(ids.front()).starts_with(kSpaceMark);
  return (space_lost ? " " : "") + text;
}

std::string SentencePieceEngine::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::string text;
  std::vector<int> run;
  bool at_start = true;
  const auto end_run = [&] {
    text += decode_run(run, at_start);
    at_start = at_start && run.empty();
    run.clear();
  };
  for (const int64_t wide : ids) {
    if (wide < 0 || wide >= vocab_size()) continue;
    const int id = static_cast<int>(wide);
    if (!processor_.IsControl(id)) {
      run.push_back(id);
    } else if (!skip_special_tokens) {
      end_run();
      text += processor_.IdToPiece(id);
      at_start = false;
    }
  }
  end_run();
  return is_valid_utf8(text) ? text : utf8_lossy(text);
}

std::optional<int64_t> SentencePieceEngine::token_id(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional<int64_t>(found->second);
}

}  // namespace

std::unique_ptr<TokenizerEngine> make_sentencepiece_engine(std::string_view bytes, const std::string& file) {
  return std::make_unique<SentencePieceEngine>(bytes, file);
}

}  // namespace attnlab::text
