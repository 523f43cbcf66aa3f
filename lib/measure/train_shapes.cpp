#include "measure/train_shapes.h"

#include <algorithm>

#include "core/random.h"
#include "measure/bench_models.h"
#include "train/trainable.h"

namespace attnlab {
namespace {

ShapeNumbers numbers_of(TrainShape shape) {
  switch (shape) {
    case TrainShape::quickstart:  // data/base_small
      return {Family::llama, 1024, 192, 6, 8, 2, 32, 512, true};
    case TrainShape::m25:
      return {Family::llama, 4096, 512, 8, 8, 2, 64, 1408, true};
    case TrainShape::qwen2_5_0_5b:
      return kQwen2_5_0_5b;
    case TrainShape::qwen2_5_1_5b:
      return kQwen2_5_1_5b;
    case TrainShape::llama2_7b:
      break;
    case TrainShape::gemma2_2b:
      return kGemma2_2b;
    case TrainShape::mixtral_8l:  // Mixtral 8x7B's first 8 layers
      return {Family::mixtral, 32000, 4096, 8, 32, 8, 128, 14336};
  }
  return kLlama2_7b;
}

// Of the experts that are routed to, those that a token goes through.
double share_of_experts(const DecoderConfig& config) {
  return static_cast<double>(config.moe->experts_per_token) / static_cast<double>(config.moe->n_experts);
}

}  // namespace

DecoderConfig train_config(TrainShape shape, int64_t positions) {
  DecoderConfig config = shape_config(numbers_of(shape));
  config.max_positions = positions;
  if (shape == TrainShape::mixtral_8l)
    config.moe = MoeShape{.n_experts = 8, .experts_per_token = 2, .d_ff = config.d_ff};
  if (shape == TrainShape::gemma2_2b) {
    config.attention_softcap = 50, config.final_softcap = 30;
    config.window = 4096;
    for (int64_t layer = 0; layer < config.n_layers; layer += 2) config.window_layers.push_back(layer);
  }
  return config;
}

std::shared_ptr<Decoder> random_arm(const DecoderConfig& shape, const std::string& arm,
                                    const TrainConfig& config, torch::Device device, int64_t seed) {
  const VariantConfig variant = *variant_defaults(arm);
  if (auto problem = variant_problem(shape.attention_shape(), variant)) {
    problem->file = "--arm " + arm;
    throw InputError(*problem);
  }
  auto decoder = std::make_shared<Decoder>(shape, variant);  // its values are never touched
  if (!decoder->layers().front()->fixed_parameters().empty())
    throw InputError(BadInput{
        .file = "--arm", .found = "'" + arm + "'", .expected = "a variant whose parameters are all trained"});
  const auto names = trainable_names(*decoder, config.trainable, "--trainable");
  fill_randomly(*decoder, weight_type(config.precision), device, seed, 0);
  set_trainable(*decoder, names);
  return decoder;
}

Batch random_batch(int64_t vocab_size, int64_t rows, int64_t columns, int64_t seed) {
  Batch batch{.rows = rows, .columns = columns, .tokens = rows * columns, .loss_tokens = rows * columns};
  Random random(static_cast<uint64_t>(seed), hash_name("bench_train"));
  for (int64_t r = 0; r < rows; ++r) {
    int64_t token = random.between(0, vocab_size - 1);
    for (int64_t c = 0; c < columns; ++c) {
      batch.input_ids.push_back(token);
      batch.targets.push_back(token = random.between(0, vocab_size - 1));
    }
  }
  return batch;
}

double step_flops(const Decoder& decoder, int64_t rows, int64_t columns) {
  double weights = 0, trained = 0;
  for (const auto& parameter : decoder.named_parameters()) {
    const auto& tensor = parameter.value();
    const bool looked_up = parameter.key() == "model.embed_tokens.weight" && !decoder.config().tie_embeddings;
    if (tensor.dim() < 2 || looked_up) continue;
    const bool routed = parameter.key().find(".experts.") != std::string::npos;
    const double met = static_cast<double>(tensor.numel()) * (routed ? share_of_experts(decoder.config()) : 1);
    weights += met;
    if (tensor.requires_grad()) trained += met;
  }
  const double forward = decoder.forward_flops_per_token(columns);
  const double attention = std::max(0.0, forward - 2 * weights);
  return static_cast<double>(rows * columns) * (forward + 2 * weights + 2 * trained + 2 * attention);
}

}  // namespace attnlab
