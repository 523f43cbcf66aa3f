#include "tasks/prompts.h"

#include <algorithm>

#include "core/errors.h"
#include "tasks/cot_examples.h"
#include "tasks/python_random.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse_shots(int64_t count, const std::string& expected) {
  throw InputError(BadInput{.key = "shots", .found = std::to_string(count), .expected = expected});
}

// MBPP's own few-shot problems; the paper's prompt split has ids 1 to 10, lm_eval shows three of them.
std::vector<Problem> first_mbpp(const std::vector<Problem>& pool) {
  std::vector<Problem> found;
  for (const char* id : {"2", "3", "4"}) {
    const auto problem = std::find_if(pool.begin(), pool.end(), [&](const Problem& p) { return p.id == id; });
    if (problem == pool.end())
      throw InputError(BadInput{.key = "task_id",
                                .found = "no task " + std::string(id),
                                .expected = "tasks 2, 3 and 4, which every prompt shows"});
    found.push_back(*problem);
  }
  return found;
}

std::vector<Problem> examples_of(ShotSource source, const std::vector<Problem>& pool) {
  if (source == ShotSource::eight_worked) return eight_worked_examples();
  if (source == ShotSource::first_mbpp) return first_mbpp(pool);
  return pool;
}

}  // namespace

std::vector<std::vector<int64_t>> shot_indices(int64_t problems, int64_t pool_size, int64_t count,
                                               const ShotOptions& options) {
  if (count < 0 || count > pool_size)
    refuse_shots(count, "0 to " + std::to_string(pool_size) + ", as many as there are");
  PythonRandom random(options.seed);
  std::vector<int64_t> first(static_cast<size_t>(count));
  for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<int64_t>(i);
  std::vector<std::vector<int64_t>> indices;
  for (int64_t i = 0; i < problems; ++i)
    indices.push_back(options.sampling == ShotSampling::first ? first : random.sample(pool_size, count));
  return indices;
}

std::vector<std::string> make_prompts(const Preset& preset, const std::vector<Problem>& problems,
                                      const std::vector<Problem>& pool, const ShotOptions& options) {
  const int64_t count = options.count.value_or(preset.shots);
  if (preset.shot_source == ShotSource::none && count != 0) refuse_shots(count, "0: this protocol shows none");
  const auto examples = count == 0 ? std::vector<Problem>{} : examples_of(preset.shot_source, pool);
  ShotOptions chosen = options;
  if (preset.shot_source != ShotSource::train) chosen.sampling = ShotSampling::first;
  const auto indices = shot_indices(std::ssize(problems), std::ssize(examples), count, chosen);
  std::vector<std::string> prompts;
  for (size_t i = 0; i < problems.size(); ++i) {
    std::string prompt;
    for (const int64_t index : indices[i]) {
      const Problem& example = examples[static_cast<size_t>(index)];
      prompt += preset.question(example) + preset.solution(example) + "\n\n";
    }
    prompts.push_back(prompt + preset.question(problems[i]));
  }
  return prompts;
}

}  // namespace attnlab
