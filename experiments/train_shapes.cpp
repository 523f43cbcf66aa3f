#include "train_shapes.h"

#include <algorithm>

#include "core/random.h"
#include "program.h"
#include "train/trainable.h"

namespace attnlab {
namespace {

struct Numbers {
  Family family;
  int64_t vocab_size, d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff;
  bool tied;
};

Numbers numbers_of(TrainShape shape) {
  switch (shape) {
    case TrainShape::quickstart:  // data/base_small
      return {Family::llama, 1024, 192, 6, 8, 2, 32, 512, true};
    case TrainShape::m25:
      return {Family::llama, 4096, 512, 8, 8, 2, 64, 1408, true};
    case TrainShape::qwen2_5_0_5b:
      return {Family::qwen2, 151936, 896, 24, 14, 2, 64, 4864, true};
    case TrainShape::qwen2_5_1_5b:
      return {Family::qwen2, 151936, 1536, 28, 12, 2, 128, 8960, true};
    case TrainShape::llama2_7b:
      break;
  }
  return {Family::llama, 32000, 4096, 32, 32, 32, 128, 11008, false};
}

}  // namespace

DecoderConfig train_config(TrainShape shape, int64_t positions) {
  const Numbers n = numbers_of(shape);
  DecoderConfig c;
  c.family = n.family, c.vocab_size = n.vocab_size, c.d_model = n.d_model, c.n_layers = n.n_layers;
  c.n_heads = n.n_heads, c.n_kv_heads = n.n_kv_heads, c.head_dim = n.head_dim, c.d_ff = n.d_ff;
  c.qkv_bias = n.family == Family::qwen2;
  c.tie_embeddings = n.tied;
  c.max_positions = positions;
  return c;
}

std::shared_ptr<Decoder> random_arm(const DecoderConfig& shape, const std::string& arm,
                                    const TrainConfig& config, torch::Device device, int64_t seed) {
  require_name("--arm", arm, variant_names());
  const VariantConfig variant = *variant_defaults(arm);
  if (auto problem = variant_problem(shape.attention_shape(), variant)) {
    problem->file = "--arm " + arm;
    throw InputError(*problem);
  }
  const torch::NoGradGuard no_grad;
  torch::manual_seed(static_cast<uint64_t>(seed));
  auto decoder = std::make_shared<Decoder>(shape, variant);  // its values are never touched
  if (!decoder->layers().front()->attention()->fixed_parameters().empty())
    throw InputError(BadInput{
        .file = "--arm", .found = "'" + arm + "'", .expected = "a variant whose parameters are all trained"});
  const auto names = trainable_names(*decoder, config.trainable, "--trainable");
  const auto options = torch::dtype(weight_type(config.precision)).device(device);
  for (auto& parameter : decoder->named_parameters()) {
    auto& tensor = parameter.value();
    const bool norm = parameter.key().ends_with("norm.weight");
    tensor.requires_grad_(false);
    tensor.set_data(torch::empty(tensor.sizes(), options).normal_(norm ? 1 : 0, norm ? 0 : 0.02));
  }
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
    weights += static_cast<double>(tensor.numel());
    if (tensor.requires_grad()) trained += static_cast<double>(tensor.numel());
  }
  const double forward = decoder.forward_flops_per_token(columns);
  const double attention = std::max(0.0, forward - 2 * weights);
  return static_cast<double>(rows * columns) * (forward + 2 * weights + 2 * trained + 2 * attention);
}

}  // namespace attnlab
