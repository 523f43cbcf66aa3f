#include "eval/exact_match.h"

#include <algorithm>
#include <numeric>

#include "core/errors.h"
#include "data/answers.h"
#include "model/generate.h"

namespace attnlab {
namespace {

struct Prompt {
  std::vector<int64_t> ids;
  size_t context = 0;  // of them, if it stands apart
};

// Where a cache acts behind contexts, context and question are encoded apart.
Prompt encode_prompt(const Tokenizer& tokenizer, const Example& problem, const ExactMatchOptions& options) {
  Prompt prompt;
  const bool apart = options.cache.behind_context;
  if (apart && problem.context_bytes == 0)
    throw InputError(BadInput{.key = "eval.cache.behind",
                              .found = "context",
                              .expected = "prompt: these problems have no context that stands apart from a "
                                          "question (data kinds passkey, key_values and variable_trace have)"});
  if (options.bos_id) prompt.ids.push_back(*options.bos_id);
  const auto add = [&](const std::string& text) {
    const auto ids = tokenizer.encode(text);
    prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
  };
  if (apart) {
    add(problem.prompt.substr(0, problem.context_bytes));
    prompt.context = prompt.ids.size();
    add(problem.prompt.substr(problem.context_bytes));
  } else {
    add(problem.prompt);
  }
  if (prompt.ids.empty()) prompt.ids.push_back(options.eos_id);
  return prompt;
}

}  // namespace

// Prompts of like length go together, so that little is padded.
std::vector<Answered> answer_problems(Decoder& decoder, const Tokenizer& tokenizer,
                                      const std::vector<Example>& problems, const ExactMatchOptions& options,
                                      const std::function<void(int64_t)>& done) {
  ATTNLAB_CHECK(options.batch_size > 0);
  const PrecisionScope scope(options.precision, decoder.device());
  std::vector<Prompt> prompts;
  for (const auto& problem : problems) prompts.push_back(encode_prompt(tokenizer, problem, options));
  std::vector<size_t> order(problems.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].ids.size() > prompts[b].ids.size(); });
  auto stops = options.stop_ids;
  stops.push_back(options.eos_id);
  std::vector<std::vector<int64_t>> ids;
  std::vector<size_t> contexts;
  for (const size_t i : order) {
    ids.push_back(prompts[i].ids);
    if (options.cache.behind_context) contexts.push_back(prompts[i].context);
  }
  int64_t ended = 0;
  const auto outputs = generate(decoder, ids,
                                {.max_new_tokens = options.max_new_tokens,
                                 .stop_tokens = stops,
                                 .cache = options.cache,
                                 .context_tokens = contexts,
                                 .batch_rows = static_cast<size_t>(options.batch_size),
                                 .on_end = [&](size_t) {
                                   if (done) done(++ended);
                                 }});
  std::vector<Answered> answers(problems.size());
  for (size_t i = 0; i < order.size(); ++i) {
    auto& answer = answers[order[i]];
    answer.output = tokenizer.decode(outputs[i]);
    answer.extracted = extract_answer(answer.output);
    answer.correct = exact_match(answer.extracted, problems[order[i]].gold);
  }
  return answers;
}

}  // namespace attnlab
