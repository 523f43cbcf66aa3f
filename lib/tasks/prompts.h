// Whole prompts: worked examples, then the problem.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/names.h"
#include "tasks/presets.h"

namespace attnlab {

// How worked examples are taken from the training file.
enum class ShotSampling {
  lm_eval,  // anew for each problem: random.Random(seed).sample over the whole run, in the order of the
            // problems
  first     // the first ones, for all problems
};

template <>
struct EnumNames<ShotSampling> {
  static constexpr std::array<std::pair<std::string_view, ShotSampling>, 2> rows{
      {{"lm_eval", ShotSampling::lm_eval}, {"first", ShotSampling::first}}};
};

struct ShotOptions {
  std::optional<int64_t> count;  // nothing: the preset's own
  ShotSampling sampling = ShotSampling::lm_eval;
  uint32_t seed = 1234;
};

// Indices into `pool_size` training examples for each of `problems` problems.
std::vector<std::vector<int64_t>> shot_indices(int64_t problems, int64_t pool_size, int64_t count,
                                               const ShotOptions& options);

// One prompt a problem: examples and problem joined by blank lines. `pool`: the training problems, or for MBPP
// the problems that hold tasks 2, 3 and 4; not looked at where the preset brings its own examples. Throws
// InputError if the examples asked for are not there.
std::vector<std::string> make_prompts(const Preset& preset, const std::vector<Problem>& problems,
                                      const std::vector<Problem>& pool, const ShotOptions& options = {});

}  // namespace attnlab
