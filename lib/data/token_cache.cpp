#include "data/token_cache.h"

#include <chrono>
#include <thread>

#include "core/errors.h"
#include "core/files.h"
#include "core/interrupt.h"

namespace attnlab {
namespace {

// Counts up when the same text and tokenizer give other tokens than before.
constexpr const char* kVersion = "attnlab tokens 2";

// SHA-256 over the SHA-256 of pieces of at least a MiB, so that texts of any size go through.
class TextHash {
 public:
  // With its length in front, so that no two sequences of texts look alike.
  void add(const std::string& text) {
    piece_ += std::to_string(text.size()) + ':' + text;
    if (piece_.size() >= size_t{1} << 20) close();
  }
  std::string hex() {
    close();
    return sha256(hashes_);
  }

 private:
  void close() {
    hashes_ += sha256(piece_);
    piece_.clear();
  }
  std::string piece_, hashes_;
};

std::string id_text(std::optional<int64_t> id) { return id ? std::to_string(*id) : "none"; }

void wait_for(FileLock& lock) {
  while (!lock.try_lock()) {
    if (interrupted()) throw Interrupted{};
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

std::string token_key(const Dataset& dataset, int64_t count, const std::string& tokenizer_sha256,
                      std::optional<int64_t> bos_id, std::optional<int64_t> eos_id, int64_t& text_bytes) {
  TextHash hash;
  for (const std::string& setting : {std::string(kVersion), tokenizer_sha256, id_text(bos_id), id_text(eos_id)})
    hash.add(setting);
  text_bytes = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Example example = dataset.get(i);
    hash.add(example.prompt);
    hash.add(example.answer);
    hash.add(std::to_string(example.parts.size()));
    for (const PromptPart& part : example.parts) {
      hash.add(part.text);
      hash.add({part.learnt ? 'l' : '-', part.begins ? 'b' : '-', part.ends ? 'e' : '-'});
    }
    text_bytes += static_cast<int64_t>(example.prompt.size() + example.answer.size());
  }
  return hash.hex();
}

std::optional<TokenFile> open_or_make(const TokenCache& cache, const std::string& key,
                                      const std::function<void(TokenFileWriter&)>& make,
                                      std::vector<std::string>& notes) {
  const auto path = cache.folder / (key.substr(0, 32) + ".tokens");
  std::string problem;
  if (auto file = TokenFile::open(path, key, problem)) return file;
  try {
    FileLock lock(path.string() + ".lock");
    wait_for(lock);
    if (auto file = TokenFile::open(path, key, problem)) return file;  // made by another process just now
    if (!problem.empty()) notes.push_back(path.string() + ": " + problem + "; it is made anew");
    TokenFileWriter writer(path, key);
    make(writer);
    writer.publish();
    auto file = TokenFile::open(path, key, problem);
    if (!file) notes.push_back(path.string() + ": " + problem + "; going on without it");
    return file;
  } catch (const RunError& error) {
    notes.push_back(std::string(error.what()) + "; tokens are kept in memory only");
    return std::nullopt;
  }
}

}  // namespace attnlab
