#include "experiment/run/evaluation.h"

#include <algorithm>
#include <chrono>

#include "eval/answer_likelihood.h"
#include "eval/exact_match.h"
#include "eval/heldout.h"
#include "model/cache_calibration.h"

namespace attnlab {

Evaluator::Evaluator(const RunConfig& config, std::shared_ptr<const Base> base, const Data& data)
    : config_(config.eval), precision_(config.train.precision), base_(std::move(base)) {
  if (config_.heldout_examples > 0) {
    BatchConfig batches = batch_config(config, *base_);
    batches.batch_size = config_.batch_size;
    heldout_ = sequential_batches(*data.heldout, *base_->tokenizer, batches, config_.heldout_examples);
  }
  for (int64_t i = 0; i < data.heldout->size() && problem_count() < config_.problems; ++i) {
    Example example = data.heldout->get(i);
    if (example.gold.empty()) continue;
    problems_.push_back(std::move(example));
    indices_.push_back(i);
  }
}

Evaluator::Result Evaluator::evaluate(Decoder& decoder, int64_t step, const std::function<void(int64_t)>& done,
                                      World& world) const {
  const auto start = std::chrono::steady_clock::now();
  const HeldoutLoss heldout = heldout_loss(decoder, heldout_, precision_, world);
  const auto answers = answer_problems(decoder, *base_->tokenizer, problems_,
                                       {.max_new_tokens = config_.max_new_tokens,
                                        .batch_size = config_.batch_size,
                                        .bos_id = base_->bos_id,
                                        .eos_id = base_->eos_id,
                                        .stop_ids = base_->stop_ids,
                                        .cache = cache_plan_for(config_.cache, decoder),
                                        .precision = precision_,
                                        .batch_invariant = config_.batch_invariant},
                                       done, world);
  Result result{.row = {.step = step,
                        .heldout_loss = heldout.loss,
                        .heldout_tokens = heldout.tokens,
                        .problems = problem_count()}};
  for (size_t i = 0; i < answers.size(); ++i) {
    result.row.correct += answers[i].correct;
    result.problems.push_back({.step = step,
                               .index = indices_[i],
                               .prompt = problems_[i].prompt,
                               .gold = problems_[i].gold,
                               .output = answers[i].output,
                               .extracted = answers[i].extracted,
                               .correct = answers[i].correct});
  }
  if (problem_count() > 0)
    result.row.accuracy = static_cast<double>(result.row.correct) / static_cast<double>(problem_count());
  if (config_.likelihoods) {
    const auto found =
        answer_likelihoods(decoder, *base_->tokenizer, problems_, answers,
                           {.bos_id = base_->bos_id, .eos_id = base_->eos_id, .precision = precision_});
    result.likelihoods = {.step = step,
                          .reference = found.reference.mean,
                          .own = found.own.mean,
                          .references = found.reference.answers,
                          .reference_tokens = found.reference.tokens,
                          .owns = found.own.answers,
                          .own_tokens = found.own.tokens};
  }
  result.row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

namespace {
constexpr int64_t widest = 14000;  // of a text column in a run file

template <class Text>
int64_t longest(const std::vector<Example>& examples, const Text& text) {
  int64_t bytes = 1;
  for (const auto& example : examples) bytes = std::max(bytes, static_cast<int64_t>(text(example).size()));
  return std::min(bytes, widest);
}
}  // namespace

int64_t Evaluator::prompt_bytes() const {
  return longest(problems_, [](const Example& example) -> const std::string& { return example.prompt; });
}
int64_t Evaluator::gold_bytes() const {
  return longest(problems_, [](const Example& example) -> const std::string& { return example.gold; });
}
int64_t Evaluator::output_bytes() const {
  return std::clamp<int64_t>(config_.max_new_tokens * base_->tokenizer->longest_token_bytes(), 1, widest);
}

}  // namespace attnlab
