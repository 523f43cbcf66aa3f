#include "text/sentencepiece_engine.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "core/errors.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/utf8.h"

// libsentencepiece and libc10 (torch) each have a global of this name, of 32 and of 4 bytes. The dynamic linker
// gives both the first one that it finds: where that was libc10's, sentencepiece's constructor wrote over the
// 28 bytes behind it before main, a mutex among them, on which every call of a TorchScript method then waited
// for ever. A program's own comes before both. What torch reads of it is which of its messages it writes.
extern "C++" {
[[gnu::used, gnu::visibility("default")]] alignas(16) unsigned char FLAGS_minloglevel[64] = {};
}

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

// A protocol buffer's field of a later message replaces that of an earlier one: normalizer_spec (3) with
// add_dummy_prefix (3) of 0.
constexpr std::string_view kNoPrefix("\x1A\x02\x18\x00", 4);

// Which texts get the space that the model puts in front.
struct PrefixRule {
  bool any = true, every_part = true;  // of every part between added tokens, or of the first alone
  bool before_space = true;            // where the part begins with a space, too
};

// As transformers 5 does. Its LlamaTokenizer, and others without `legacy`, put none before a space, unlike
// sentencepiece.
PrefixRule prefix_rule(const Companions& companions) {
  const bool llama = companions.tokenizer_class.starts_with("LlamaTokenizer");
  const bool legacy = companions.legacy.value_or(!llama);
  return {.any = companions.add_prefix_space.value_or(true),
          .every_part = legacy,
          .before_space = legacy && !llama};
}

class SentencePieceEngine : public TokenizerEngine {
 public:
  SentencePieceEngine(std::string_view bytes, const std::string& file, std::optional<Companions> companions);

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int64_t> token_id(std::string_view token) const override;
  int64_t longest_token_bytes() const override { return static_cast<int64_t>(longest_piece_); }
  std::optional<int64_t> bos_id() const override { return bos_id_; }
  std::optional<int64_t> eos_id() const override { return eos_id_; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  static std::optional<int64_t> id_if_any(int id) { return id < 0 ? std::nullopt : std::optional<int64_t>(id); }
  void load(sentencepiece::SentencePieceProcessor& processor, std::string_view bytes, const std::string& file);
  void note_piece(int id, const std::string& file);
  void add(Companions& companions, std::string_view bytes, const std::string& file);
  void encode_part(std::string_view text, bool first, std::vector<int64_t>& ids) const;
  std::string decode_run(const std::vector<int>& ids, bool at_start) const;

  sentencepiece::SentencePieceProcessor processor_;
  // The same without a space in front; null: the model has none, or every text gets it.
  std::unique_ptr<sentencepiece::SentencePieceProcessor> bare_;
  PrefixRule prefix_;
  Vocabulary ids_;  // by surface form
  std::unordered_map<int64_t, AddedToken> added_;
  AddedTokenMatcher matcher_;
  std::optional<int64_t> bos_id_, eos_id_;
  bool adds_bos_ = false, adds_eos_ = false;
  int64_t vocab_size_ = 0;
  size_t longest_piece_ = 0;
  bool drops_first_space_ = false;  // decoding takes off the space that encoding put in front
  std::vector<std::string> notes_;
};

SentencePieceEngine::SentencePieceEngine(std::string_view bytes, const std::string& file,
                                         std::optional<Companions> companions) {
  if (!is_whole(bytes)) refuse(file, "bytes that are none, or not all of one");
  load(processor_, bytes, file);
  if (processor_.GetPieceSize() == 0) refuse(file, "no pieces");
  for (int id = 0; id < processor_.GetPieceSize(); ++id) note_piece(id, file);
  vocab_size_ = processor_.GetPieceSize();
  bos_id_ = id_if_any(processor_.bos_id());
  eos_id_ = id_if_any(processor_.eos_id());
  if (companions) add(*companions, bytes, file);
  adds_bos_ = bos_id_ && (!companions || companions->add_bos_token.value_or(true));
  adds_eos_ = eos_id_ && companions && companions->add_eos_token.value_or(false);
}

void SentencePieceEngine::load(sentencepiece::SentencePieceProcessor& processor, std::string_view bytes,
                               const std::string& file) {
  const auto status = processor.LoadFromSerializedProto(bytes);
  if (!status.ok()) refuse(file, "one that the library refuses (" + std::string(status.message()) + ")");
}

void SentencePieceEngine::add(Companions& companions, std::string_view bytes, const std::string& file) {
  std::vector<AddedToken> tokens;
  for (int id = 0; id < processor_.GetPieceSize(); ++id)
    if (processor_.IsControl(id))
      tokens.push_back({.id = id, .content = processor_.IdToPiece(id), .special = true});
  const KnownTokens known{.file = std::filesystem::path(file).filename().string(),
                          .model_id =
                              [&](std::string_view content) {
                                const auto id = token_id(content);
                                return id ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
                              },
                          .model_size = static_cast<size_t>(processor_.GetPieceSize())};
  add_companions(companions, known, tokens);
  for (const AddedToken& token : tokens) {
    ids_.emplace(token.content, token.id);
    added_.emplace(token.id, token);
    matcher_.add(token, token.content);
    vocab_size_ = std::max<int64_t>(vocab_size_, token.id + 1);
    longest_piece_ = std::max(longest_piece_, token.content.size());
  }
  const auto bos = named_id(companions, "bos_token", tokens), eos = named_id(companions, "eos_token", tokens);
  if (bos || !companions.has_bos) bos_id_ = bos;
  if (eos || !companions.has_eos) eos_id_ = eos;
  prefix_ = prefix_rule(companions);
  if (!prefix_.any || !prefix_.every_part || !prefix_.before_space) {
    bare_ = std::make_unique<sentencepiece::SentencePieceProcessor>();
    load(*bare_, std::string(bytes) + std::string(kNoPrefix), file);
  }
  notes_ = std::move(companions.notes);
}

void SentencePieceEngine::note_piece(int id, const std::string& file) {
  const std::string& piece = processor_.IdToPiece(id);
  if (!ids_.emplace(piece, id).second) refuse(file, "the piece '" + piece + "' twice");
  longest_piece_ = std::max(longest_piece_, piece.size());
  if (drops_first_space_ || !piece.starts_with(kSpaceMark) || piece == kSpaceMark) return;
  std::string alone;
  drops_first_space_ = processor_.Decode(std::vector<int>{id}, &alone).ok() && !alone.starts_with(' ');
}

void SentencePieceEngine::encode_part(std::string_view text, bool first, std::vector<int64_t>& ids) const {
  const bool spaced = text.starts_with(' ') || text.starts_with(kSpaceMark);
  const bool prefixed = prefix_.any && (first || prefix_.every_part) && (prefix_.before_space || !spaced);
  std::vector<int> pieces;
  const auto status = (prefixed || !bare_ ? processor_ : *bare_).Encode(text, &pieces);
  if (!status.ok()) throw RunError("sentencepiece: " + status.ToString());
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

std::vector<int64_t> SentencePieceEngine::encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int64_t> ids;
  if (add_special_tokens && adds_bos_) ids.push_back(*bos_id_);
  for (const TextPart& part : matcher_.split(text)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      encode_part(part.span.of(text), part.span.begin == 0, ids);
    }
  }
  if (add_special_tokens && adds_eos_) ids.push_back(*eos_id_);
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
  bool at_start = prefix_.any;
  const auto end_run = [&] {
    text += decode_run(run, at_start);
    at_start = at_start && run.empty();
    run.clear();
  };
  for (const int64_t wide : ids) {
    const auto added = added_.find(wide);
    if (added == added_.end() && (wide < 0 || wide >= processor_.GetPieceSize())) continue;
    const int id = static_cast<int>(wide);
    if (added == added_.end() && !processor_.IsControl(id)) {
      run.push_back(id);
    } else if (!skip_special_tokens || (added != added_.end() && !added->second.special)) {
      end_run();
      text += added != added_.end() ? added->second.content : processor_.IdToPiece(id);
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

std::unique_ptr<TokenizerEngine> make_sentencepiece_engine(std::string_view bytes, const std::string& file,
                                                           std::optional<Companions> companions) {
  return std::make_unique<SentencePieceEngine>(bytes, file, std::move(companions));
}

}  // namespace attnlab::text
