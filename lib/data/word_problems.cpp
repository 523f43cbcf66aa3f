#include "data/word_problems.h"

#include <optional>

#include "data/story.h"
#include "data/story_chain.h"
#include "data/story_plots.h"

namespace attnlab {
namespace {

std::optional<WordProblem> draw(Random& random, const Scale& scale) {
  Story story(random, scale, random.between(scale.min_steps, scale.max_steps));
  const bool told = random.between(0, 1) == 0 ? tell_chain(story) : tell_plot(story);
  if (!told || story.value > scale.cap) return std::nullopt;
  return WordProblem{.question = story.question,
                     .answer = story.answer + "#### " + std::to_string(story.value),
                     .gold = story.value,
                     .steps = story.steps};
}

}  // namespace

WordProblem word_problem(uint64_t seed, Split split, int64_t index, int64_t difficulty) {
  const Scale& scale = scale_of(difficulty);
  const std::string stream = "word_problem/" + std::string(name_of(split)) + '/' + std::to_string(difficulty);
  Random random(seed ^ hash_name(stream), static_cast<uint64_t>(index));
  while (true) {
    const auto problem = draw(random, scale);
    if (problem && split_of(problem->question) == split) return *problem;
  }
}

}  // namespace attnlab
