// One attention layer fitted to another one of random weights: what fit_teacher measures.
//
// Shapes: B batch, T tokens, D d_model, N query heads, G KV heads, H head_dim. All forms but gqa_wide cache
// C = 2·G·H numbers per token.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "attention/mixer.h"
#include "tensor/torch.h"

namespace attnlab {

// gqa: G heads of keys and values. mla: TransMLA v1's form, latents of G·H numbers for keys and for values,
// dense up-projections to all N heads, rotary behind them. gqa_wide: N KV heads, a cache N / G times as large.
enum class FitForm { gqa, mla, gqa_wide };
template <>
struct EnumNames<FitForm> {
  using enum FitForm;
  static constexpr std::array<std::pair<std::string_view, FitForm>, 3> rows{
      {{"gqa", gqa}, {"mla", mla}, {"gqa_wide", gqa_wide}}};
};

struct FitSetting {
  int64_t d_model = 64, n_heads = 8, n_kv_heads = 2, head_dim = 8;
  int64_t steps = 1500, batch = 16, length = 16;
  torch::Device device = torch::kCPU;
};

// A layer with random weights, float32: normal, so that queries, keys and values of normal inputs have
// deviation 1 but for a factor √2 of queries and keys. Scores then have deviation 2: attention that looks
// somewhere. Near uniform attention would say little: all forms can fit the mean of the tokens before. The
// weights are a function of seed and role ("teacher", "student 0").
std::shared_ptr<Mixer> random_layer(const FitSetting& setting, FitForm form, uint64_t seed,
                                    const std::string& role);

// The MLA layer that TransMLA's orthogonal decomposition makes of a GQA layer.
std::shared_ptr<Mixer> converted_layer(const FitSetting& setting, Mixer& gqa);

int64_t parameters_of(const Mixer& layer);

// The mean square of student - teacher over that of the teacher, on 64 sequences of normal inputs that no step
// sees. Causal attention, rotary position as in v1.
double relative_error(const FitSetting& setting, Mixer& teacher, Mixer& student, uint64_t seed);

struct FitPoint {
  int64_t step = 0;
  double error = 0;
};

// Steps at which the error is measured: 0, the last, and about `count` between, evenly spaced in the logarithm.
std::vector<int64_t> measured_steps(int64_t steps, int64_t count = 30);

// Fits all of the student's weights with AdamW: `rate` at most, 5 % warm-up, then a cosine to 0; each
// step has a fresh batch of normal inputs, the same for all students of a seed. Calls `tick` after each step.
std::vector<FitPoint> fit(const FitSetting& setting, Mixer& teacher, Mixer& student, double rate, uint64_t seed,
                          const std::function<void()>& tick);

}  // namespace attnlab
