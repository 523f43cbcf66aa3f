#include "eval/text_scores.h"

#include <optional>

#include "eval/likelihood.h"
#include "tasks/text_pair.h"
#include "tasks/windows.h"

namespace attnlab {
namespace {

LikelihoodOptions options_of(const TaskModel& model) {
  return {.batch_tokens = model.batch_tokens, .cache = model.cache, .precision = model.precision};
}

// Nothing where the continuation merges into the context's ids as a whole.
std::optional<ScoredSequence> choice_sequence(const TaskModel& model, const std::string& context,
                                              const std::string& continuation) {
  const auto encode = [&](const std::string& text) { return model.tokenizer.encode(text); };
  auto pair = split_text_pair(context, continuation, model.prefix_id, encode);
  if (model.bos_id && pair.context.front() != *model.bos_id)
    pair.context.insert(pair.context.begin(), *model.bos_id);
  if (pair.continuation.empty()) return std::nullopt;
  const ScoredIds scored = scored_ids(pair, model.window());
  ScoredSequence sequence{.ids = scored.input};
  sequence.ids.push_back(pair.continuation.back());
  sequence.first = static_cast<int64_t>(sequence.ids.size()) - scored.targets;
  return sequence;
}

// Sums of the windows' likelihoods. begin = -1: the start id stands before the text.
double window_sum(const TaskModel& model, const std::vector<int64_t>& ids, const std::vector<Window>& windows,
                  const std::function<void(int64_t)>& done) {
  std::vector<ScoredSequence> sequences;
  for (const auto& window : windows) {
    ScoredSequence sequence{.first = window.context()};
    for (int64_t i = window.begin; i < window.end; ++i)
      sequence.ids.push_back(i < 0 ? model.prefix_id : ids[static_cast<size_t>(i)]);
    sequences.push_back(std::move(sequence));
  }
  double sum = 0;
  for (const auto& likelihood : log_likelihoods(model.decoder, sequences, options_of(model), done))
    sum += likelihood.log_likelihood;
  return sum;
}

}  // namespace

std::vector<ChoiceLikelihoods> choice_likelihoods(const TaskModel& model, const TaskData& data, int64_t first,
                                                  int64_t last) {
  std::vector<ChoiceLikelihoods> out;
  std::vector<ScoredSequence> sequences;
  std::vector<std::pair<size_t, size_t>> places;
  for (int64_t i = first; i < last; ++i) {
    const auto& item = data.items[static_cast<size_t>(i)];
    const size_t choices = item.continuations.size();
    out.push_back({std::vector<double>(choices, 0), std::vector<bool>(choices, true)});
    for (size_t c = 0; c < choices; ++c) {
      auto sequence = choice_sequence(model, item.contexts[c], item.continuations[c]);
      if (!sequence) continue;
      sequences.push_back(std::move(*sequence));
      places.emplace_back(out.size() - 1, c);
    }
  }
  const auto likelihoods = log_likelihoods(model.decoder, sequences, options_of(model));
  for (size_t i = 0; i < places.size(); ++i) {
    const auto& [item, choice] = places[i];
    out[item].log_likelihoods[choice] = likelihoods[i].log_likelihood;
    out[item].greedy[choice] = likelihoods[i].greedy;
  }
  return out;
}

TextScore text_score(const TaskModel& model, const std::string& text,
                     const std::function<void(int64_t, int64_t)>& done) {
  const auto ids = model.tokenizer.encode(text);
  const auto n = static_cast<int64_t>(ids.size());
  const auto rolling = rolling_windows(n, model.window()),
             plain = plain_windows(n, model.window(), Tail::scored);
  const auto hear = [&](int64_t before) {
    return [&done, before, all = std::ssize(rolling) + std::ssize(plain)](int64_t finished) {
      if (done) done(before + finished, all);
    };
  };
  TextScore score{.rolling = text_likelihood(window_sum(model, ids, rolling, hear(0)), text)};
  score.plain = window_sum(model, ids, plain, hear(std::ssize(rolling)));
  for (const auto& window : plain) score.plain_tokens += window.targets();
  return score;
}

}  // namespace attnlab
