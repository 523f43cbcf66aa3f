#include "eval/exact_match.h"

#include <algorithm>
#include <numeric>
#include <span>

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

std::string with_length(size_t index, const std::string& text) {
  return std::to_string(index) + " " + std::to_string(text.size()) + " " + text;
}

// What a rank says of its outputs, as with_length wrote them.
void take_outputs(const std::string& said, std::vector<Answered>& answers) {
  for (size_t at = 0; at < said.size();) {
    size_t read = 0;
    const size_t index = std::stoul(said.substr(at, 24), &read);
    at += read + 1;
    const size_t size = std::stoul(said.substr(at, 24), &read);
    at += read + 1;
    answers[index].output = said.substr(at, size);
    at += size;
  }
}

// The outputs of some problems. `done` hears how many there are, each time another one is.
std::vector<std::string> outputs_of(Decoder& decoder, const Tokenizer& tokenizer,
                                    const std::vector<Prompt>& prompts, std::span<const size_t> which,
                                    const ExactMatchOptions& options,
                                    const std::function<void(int64_t)>& done) {
  auto stops = options.stop_ids;
  stops.push_back(options.eos_id);
  std::vector<std::vector<int64_t>> ids;
  std::vector<size_t> contexts;
  for (const size_t i : which) {
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
                                 .batch_invariant = options.batch_invariant,
                                 .on_end = [&](size_t) {
                                   if (done) done(++ended);
                                 }});
  std::vector<std::string> texts;
  for (const auto& output : outputs) texts.push_back(tokenizer.decode(output));
  return texts;
}

}  // namespace

// Prompts of like length go together, so that little is padded.
std::vector<Answered> answer_problems(Decoder& decoder, const Tokenizer& tokenizer,
                                      const std::vector<Example>& problems, const ExactMatchOptions& options,
                                      const std::function<void(int64_t)>& done, World& world) {
  ATTNLAB_CHECK(options.batch_size > 0);
  const PrecisionScope scope(options.precision, decoder.device());
  std::vector<Prompt> prompts;
  for (const auto& problem : problems) prompts.push_back(encode_prompt(tokenizer, problem, options));
  std::vector<size_t> order(problems.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].ids.size() > prompts[b].ids.size(); });
  const auto ranks = static_cast<size_t>(world.size());
  std::vector<size_t> own;
  for (size_t i = static_cast<size_t>(world.rank()); i < order.size(); i += ranks) own.push_back(order[i]);
  std::vector<Answered> answers(problems.size());
  const auto said = world.all_do([&] {
    const auto outputs =
        own.empty() ? std::vector<std::string>{} : outputs_of(decoder, tokenizer, prompts, own, options, done);
    std::string text;
    for (size_t i = 0; i < own.size(); ++i) {
      answers[own[i]].output = outputs[i];
      if (ranks > 1) text += with_length(own[i], outputs[i]);
    }
    return text;
  });
  for (const auto& text : said) take_outputs(text, answers);
  for (size_t i = 0; i < problems.size(); ++i) {
    answers[i].extracted = extract_answer(answers[i].output);
    answers[i].correct = exact_match(answers[i].extracted, problems[i].gold);
  }
  return answers;
}

}  // namespace attnlab
