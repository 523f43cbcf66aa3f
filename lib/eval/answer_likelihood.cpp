#include "eval/answer_likelihood.h"

#include "core/errors.h"
#include "eval/likelihood.h"

namespace attnlab {
namespace {

class AnswerSet {
 public:
  AnswerSet(const Tokenizer& tokenizer, const AnswerLikelihoodOptions& options, int64_t window)
      : tokenizer_(tokenizer), options_(options), window_(window) {}

  void add(const std::string& prompt, const std::string& answer) {
    ScoredSequence sequence;
    if (options_.bos_id) sequence.ids.push_back(*options_.bos_id);
    append(sequence.ids, prompt);
    if (sequence.ids.empty()) sequence.ids.push_back(options_.eos_id);
    sequence.first = std::ssize(sequence.ids);
    append(sequence.ids, answer);
    sequence.ids.push_back(options_.eos_id);
    if (std::ssize(sequence.ids) > window_) return;
    tokens_ += std::ssize(sequence.ids) - sequence.first;
    sequences_.push_back(std::move(sequence));
  }

  AnswerLikelihood score(Decoder& decoder) const {
    AnswerLikelihood result{.answers = std::ssize(sequences_), .tokens = tokens_};
    if (sequences_.empty()) return result;
    double sum = 0;
    for (const auto& found :
         log_likelihoods(decoder, sequences_, {.cache = {}, .precision = options_.precision}))
      sum += found.log_likelihood;
    result.mean = sum / static_cast<double>(result.answers);
    return result;
  }

 private:
  void append(std::vector<int64_t>& ids, const std::string& text) const {
    const auto more = tokenizer_.encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
  }

  const Tokenizer& tokenizer_;
  const AnswerLikelihoodOptions& options_;
  int64_t window_, tokens_ = 0;
  std::vector<ScoredSequence> sequences_;
};

}  // namespace

AnswerLikelihoods answer_likelihoods(Decoder& decoder, const Tokenizer& tokenizer,
                                     const std::vector<Example>& problems, const std::vector<Answered>& answers,
                                     const AnswerLikelihoodOptions& options) {
  ATTNLAB_CHECK(problems.size() == answers.size());
  const int64_t window = decoder.config().max_positions;
  AnswerSet reference(tokenizer, options, window), own(tokenizer, options, window);
  for (size_t i = 0; i < problems.size(); ++i) {
    reference.add(problems[i].prompt, problems[i].answer);
    if (answers[i].correct) own.add(problems[i].prompt, answers[i].output);
  }
  return {.reference = reference.score(decoder), .own = own.score(decoder)};
}

}  // namespace attnlab
