#include "measure/serving.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/errors.h"
#include "core/random.h"
#include "measure/decode_step.h"
#include "model/row_batch.h"

namespace attnlab {
namespace {

constexpr int64_t kServedChunk = 512;

}  // namespace

std::vector<std::vector<int64_t>> random_prompts(int64_t count, int64_t tokens, int64_t vocab_size,
                                                 uint64_t seed) {
  std::vector<std::vector<int64_t>> prompts(static_cast<size_t>(count));
  for (size_t i = 0; i < prompts.size(); ++i) {
    Random random(seed, i);
    for (int64_t t = 0; t < tokens; ++t) prompts[i].push_back(random.between(0, vocab_size - 1));
  }
  return prompts;
}

Served serve(Decoder& decoder, const ServeOptions& o) {
  ATTNLAB_CHECK(o.requests > 0 && o.prompt_tokens() > 0);
  const auto prompts = random_prompts(o.requests, o.prompt_tokens(), decoder.config().vocab_size, o.seed);
  Served served;
  const auto start = std::chrono::steady_clock::now();
  served.answers = generate(decoder, prompts,
                            {.max_new_tokens = o.answer_tokens(),
                             .prefill_chunk = kServedChunk,
                             .pass_tokens = o.pass_tokens,
                             .batch_rows = static_cast<size_t>(o.batch),
                             .share_beginning = false,
                             .record_steps = o.record,
                             .report = &served.report});
  served.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return served;
}

void try_serving(Decoder& decoder, const ServeOptions& o) {
  if (RowBatch::problem(decoder, {}, o.context)) return;
  const c10::InferenceMode inference;
  const int64_t batch = o.batch > 0 ? o.batch : o.requests;
  RowBatch rows(decoder, {.rows = batch,
                          .longest = o.context,
                          .chunk = kServedChunk,
                          .pass_tokens = o.pass_tokens,
                          .record = o.record});
  const int64_t of_each = std::min(o.prompt_tokens(), kServedChunk),
                entering = std::min(batch, 1 + o.pass_tokens / of_each);
  std::vector<int64_t> places(static_cast<size_t>(entering));
  std::iota(places.begin(), places.end(), batch - entering);
  const auto prompts = random_prompts(entering, o.prompt_tokens(), decoder.config().vocab_size, o.seed);
  const RowTips tips{.tokens_R = std::vector<int64_t>(static_cast<size_t>(batch)),
                     .columns_R = std::vector<int64_t>(static_cast<size_t>(batch), o.context - 1)};
  for (int twice = 0; twice < 2; ++twice) {
    rows.enter(places, prompts);
    rows.grow(RowBatch::kMostSteps, tips, {});
  }
}

int64_t counted_requests(const Decoder& decoder, double bytes, int64_t context) {
  return counted_batch(decoder, bytes, RowBatch::columns_for(context));
}

}  // namespace attnlab
