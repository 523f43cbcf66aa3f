#include "text/tokenizer.h"

#include "core/files.h"
#include "text/companions.h"
#include "text/engine.h"
#include "text/tokenizer_files.h"
#include "text/utf8.h"

namespace attnlab {

Tokenizer::Tokenizer(std::shared_ptr<const text::TokenizerEngine> engine) : engine_(std::move(engine)) {}

std::filesystem::path Tokenizer::file_of(const std::filesystem::path& path) {
  return text::find_tokenizer_file(path);
}

std::vector<std::filesystem::path> Tokenizer::files_of(const std::filesystem::path& path) {
  const std::filesystem::path file = file_of(path);
  std::vector<std::filesystem::path> files = text::companion_files(file);
  files.insert(files.begin(), file);
  return files;
}

std::string Tokenizer::sha256_of(const std::filesystem::path& path) {
  const auto files = files_of(path);
  if (files.size() == 1) return sha256_file(files.front());
  std::string lines;
  for (const auto& file : files) lines += sha256_file(file) + "  " + file.filename().string() + "\n";
  return sha256(lines);
}

Tokenizer Tokenizer::load(const std::filesystem::path& path) { return Tokenizer(text::open_tokenizer(path)); }

Tokenizer Tokenizer::from_json(std::string_view bytes, const std::string& name) {
  return Tokenizer(text::parse_tokenizer_json(bytes, name));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  if (text::is_valid_utf8(text)) return engine_->encode(text, add_special_tokens);
  return engine_->encode(text::utf8_lossy(text), add_special_tokens);
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  return engine_->decode(ids, skip_special_tokens);
}

int64_t Tokenizer::vocab_size() const { return engine_->vocab_size(); }

std::optional<int64_t> Tokenizer::token_id(std::string_view token) const { return engine_->token_id(token); }

int64_t Tokenizer::longest_token_bytes() const { return engine_->longest_token_bytes(); }

std::optional<int64_t> Tokenizer::bos_id() const { return engine_->bos_id(); }
std::optional<int64_t> Tokenizer::eos_id() const { return engine_->eos_id(); }
const std::vector<std::string>& Tokenizer::notes() const { return engine_->notes(); }

}  // namespace attnlab
