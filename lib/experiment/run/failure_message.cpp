#include "experiment/run/failure_message.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnlab {
namespace {

// The allocator of the CPU has no error type of its own.
bool is_out_of_memory(const c10::Error& error, const std::string& text) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         text.find("DefaultCPUAllocator: can't allocate memory") != std::string::npos;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

// The first sentences, without the full stop: what was asked for and what there is; then comes advice.
std::string first_sentences(const std::string& text, int count) {
  size_t end = 0;
  for (int i = 0; i < count && end != std::string::npos; ++i) end = text.find(". ", end == 0 ? 0 : end + 2);
  std::string kept = text.substr(0, end);
  while (kept.ends_with('.')) kept.pop_back();
  return kept;
}

// batch_size · micro_batches stays as it is, so a step sees the same examples.
std::string smaller_settings(const TrainConfig& train) {
  int64_t factor = 2;
  while (factor <= train.batch_size && train.batch_size % factor != 0) ++factor;
  if (train.batch_size == 1) return "train.sequence_length below " + fmt::format("{}", train.sequence_length);
  return fmt::format("train.batch_size {} with train.micro_batches {}", train.batch_size / factor,
                     train.micro_batches * factor);
}

}  // namespace

std::string failure_message(const c10::Error& error, const TrainConfig& train) {
  const std::string text = one_line(error.what_without_backtrace());
  if (!is_out_of_memory(error, text)) return text;
  return fmt::format(
      "out of memory with batch_size {}, micro_batches {}, sequence_length {} ({}); try {}, or a smaller "
      "eval.batch_size if it was evaluating (another config, so with another --out)",
      train.batch_size, train.micro_batches, train.sequence_length, first_sentences(text, 3),
      smaller_settings(train));
}

}  // namespace attnlab
