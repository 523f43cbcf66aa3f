#include "model/decoding_batch.h"

#include <fmt/format.h>

#include "model/lazy_batch.h"
#include "model/padded_batch.h"

namespace attnlab {

std::unique_ptr<DecodingBatch> make_batch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                          int64_t capacity, int64_t chunk, const CachePlan& plan) {
  if (plan.pruning) return std::make_unique<LazyBatch>(decoder, prompts, capacity, chunk, plan);
  return std::make_unique<PaddedBatch>(decoder, prompts, capacity, chunk, plan);
}

void require_lasting_frequencies(const Decoder& decoder, const std::vector<int64_t>& lengths,
                                 int64_t capacity) {
  for (const int64_t length : lengths)
    if (decoder.frequencies_of(length) != decoder.frequencies_of(length + capacity))
      throw InputError(BadInput{
          .key = "eval.cache.policy",
          .found = fmt::format("a policy that drops tokens, and texts of {} to {} tokens", length,
                               length + capacity),
          .expected =
              "all: between these lengths the model's rotary frequencies change (rope_scaling), and all "
              "keys with them"});
}

}  // namespace attnlab
