#include "tasks/score.h"

#include <algorithm>
#include <optional>

#include "core/errors.h"
#include "tasks/extract.h"
#include "tasks/sanitize.h"
#include "tasks/stops.h"

namespace attnlab {
namespace {

using Programs = std::vector<std::optional<std::string>>;

Programs sanitized(const Preset& preset, const std::vector<Problem>& problems,
                   const std::vector<Reply>& replies, Sandbox& sandbox) {
  std::vector<SanitizeInput> inputs;
  for (const auto& reply : replies) {
    const Problem& problem = problems.at(reply.problem);
    const bool continuation =
        !reply.whole && (preset.sanitized == Preset::Sanitized::continuation || continues_prompt(reply.text));
    inputs.push_back({sanitize_input(problem, reply.text, continuation, preset.stops), problem.entry_point});
  }
  return sanitize(sandbox, inputs);
}

Programs cut_out(const Preset& preset, const std::vector<Reply>& replies) {
  Programs programs;
  for (const auto& reply : replies)
    programs.emplace_back(reply.whole ? reply.text : extract(preset, reply.text));
  return programs;
}

std::vector<Score> score_answers(const Preset& preset, const std::vector<Problem>& problems,
                                 const std::vector<Reply>& replies) {
  std::vector<Score> scores;
  for (const auto& reply : replies) {
    Score score{.extracted = extract(preset, reply.text)};
    score.correct = preset.matches(score.extracted, problems.at(reply.problem));
    score.result = score.correct ? "match" : score.extracted == kNoAnswer ? "no answer" : "no match";
    scores.push_back(std::move(score));
  }
  return scores;
}

std::vector<Score> score_programs(const Preset& preset, const std::vector<Problem>& problems,
                                  const std::vector<Reply>& replies, Sandbox& sandbox,
                                  const std::function<void(int64_t)>& done) {
  const bool sanitizes = preset.sanitized != Preset::Sanitized::no;
  const Programs programs =
      sanitizes ? sanitized(preset, problems, replies, sandbox) : cut_out(preset, replies);
  std::vector<Score> scores(replies.size(), Score{.result = "failed: no program could be read from the reply"});
  std::vector<TestedProgram> tested;
  std::vector<size_t> places;
  for (size_t i = 0; i < replies.size(); ++i) {
    if (!programs[i]) continue;
    const Problem& problem = problems.at(replies[i].problem);
    scores[i].extracted = *programs[i];
    tested.push_back({.program = replies[i].whole ? *programs[i] : preset.program(problem, *programs[i]),
                      .tests = problem.tests,
                      .entry_point = problem.calls_check ? problem.entry_point : ""});
    places.push_back(i);
  }
  const auto verdicts = sandbox.judge(tested, done);
  for (size_t i = 0; i < places.size(); ++i) {
    scores[places[i]].correct = verdicts[i].outcome == Outcome::passed;
    scores[places[i]].result = verdicts[i].result;
  }
  return scores;
}

}  // namespace

std::string extract(const Preset& preset, std::string_view reply) {
  ATTNLAB_CHECK(preset.extract != nullptr);
  return preset.extract(until_stop(reply, preset.stops));
}

std::vector<Score> score(const Preset& preset, const std::vector<Problem>& problems,
                         const std::vector<Reply>& replies, Sandbox* sandbox,
                         const std::function<void(int64_t)>& done) {
  if (preset.matches) return score_answers(preset, problems, replies);
  ATTNLAB_CHECK(sandbox != nullptr);
  return score_programs(preset, problems, replies, *sandbox, done);
}

std::vector<size_t> disagreements(const std::vector<std::vector<Score>>& by_protocol) {
  std::vector<size_t> places;
  for (size_t i = 0; !by_protocol.empty() && i < by_protocol[0].size(); ++i) {
    const auto differs = [&](const std::vector<Score>& scores) {
      ATTNLAB_CHECK(scores.size() == by_protocol[0].size());
      return scores[i].correct != by_protocol[0][i].correct;
    };
    if (std::any_of(by_protocol.begin(), by_protocol.end(), differs)) places.push_back(i);
  }
  return places;
}

}  // namespace attnlab
