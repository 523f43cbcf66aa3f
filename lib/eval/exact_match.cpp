#include "eval/exact_match.h"

#include <algorithm>
#include <numeric>

#include "core/errors.h"
#include "data/answers.h"
#include "model/generate.h"

namespace attnlab {
namespace {

std::vector<std::vector<int64_t>> encode_prompts(const Tokenizer& tokenizer,
                                                 const std::vector<Example>& problems,
                                                 const ExactMatchOptions& options) {
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& problem : problems) {
    prompts.push_back(tokenizer.encode(problem.prompt));
    auto& prompt = prompts.back();
    if (options.bos_id) prompt.insert(prompt.begin(), *options.bos_id);
    if (prompt.empty()) prompt.push_back(options.eos_id);
  }
  return prompts;
}

}  // namespace

// Prompts of like length go together, so that little is padded.
std::vector<Answered> answer_problems(Decoder& decoder, const Tokenizer& tokenizer,
                                      const std::vector<Example>& problems, const ExactMatchOptions& options,
                                      const std::function<void(int64_t)>& done) {
  ATTNLAB_CHECK(options.batch_size > 0);
  const PrecisionScope scope(options.precision, decoder.device());
  const auto prompts = encode_prompts(tokenizer, problems, options);
  std::vector<size_t> order(problems.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() < prompts[b].size(); });
  auto stops = options.stop_ids;
  stops.push_back(options.eos_id);
  std::vector<Answered> answers(problems.size());
  const auto batch_size = static_cast<size_t>(options.batch_size);
  for (size_t first = 0; first < order.size(); first += batch_size) {
    const size_t end = std::min(order.size(), first + batch_size);
    std::vector<std::vector<int64_t>> batch;
    for (size_t i = first; i < end; ++i) batch.push_back(prompts[order[i]]);
    const auto outputs =
        generate(decoder, batch,
                 {.max_new_tokens = options.max_new_tokens, .stop_tokens = stops, .cache = options.cache});
    for (size_t i = first; i < end; ++i) {
      auto& answer = answers[order[i]];
      answer.output = tokenizer.decode(outputs[i - first]);
      answer.extracted = extract_answer(answer.output);
      answer.correct = exact_match(answer.extracted, problems[order[i]].gold);
    }
    if (done) done(static_cast<int64_t>(end));
  }
  return answers;
}

}  // namespace attnlab
