// What bench_train measures: shapes of models, arms with random weights, and the arithmetic of a step.
#pragma once

#include <memory>
#include <string>

#include "train/trainer.h"

namespace attnlab {

enum class TrainShape { quickstart, m25, qwen2_5_0_5b, qwen2_5_1_5b, llama2_7b, gemma2_2b, mixtral_8l };
template <>
struct EnumNames<TrainShape> {
  using enum TrainShape;
  static constexpr std::array<std::pair<std::string_view, TrainShape>, 7> rows{{{"quickstart", quickstart},
                                                                                {"25m", m25},
                                                                                {"qwen2.5-0.5b", qwen2_5_0_5b},
                                                                                {"qwen2.5-1.5b", qwen2_5_1_5b},
                                                                                {"llama2-7b", llama2_7b},
                                                                                {"gemma2-2b", gemma2_2b},
                                                                                {"mixtral-8l", mixtral_8l}}};
};

// `positions`: the longest sequence.
DecoderConfig train_config(TrainShape shape, int64_t positions);

// A decoder of the variant `arm` (a name of one) with random weights, made on the device, and what
// `config.trainable` names set to train. Throws InputError for a variant that the shape can't have, or that has
// parameters which only a conversion can set.
std::shared_ptr<Decoder> random_arm(const DecoderConfig& shape, const std::string& arm,
                                    const TrainConfig& config, torch::Device device, int64_t seed);

// Random tokens; each is the target of the one before.
Batch random_batch(int64_t vocab_size, int64_t rows, int64_t columns, int64_t seed);

// FLOP of forward and backward of a step; see bench_train's help.
double step_flops(const Decoder& decoder, int64_t rows, int64_t columns);

}  // namespace attnlab
