#include "attention/yoco.h"

#include "attention/gated_retention.h"
#include "attention/gqa.h"
#include "attention/mixer_parts.h"

namespace attnlab {
namespace {

// The first layer of the second half, which has the keys and values.
int64_t middle(const AttentionShape& shape) { return shape.n_layers / 2; }

AttentionShape windowed(AttentionShape shape, const Yoco::Config& config) {
  shape.window = config.window;
  return shape;
}

}  // namespace

std::optional<BadInput> Yoco::problem(const AttentionShape& shape, const Config& config) {
  if (auto base = shared_kv_problem(shape)) return base;
  if (config.first_half == YocoFirstHalf::retention)
    if (auto state = state_base_problem(shape, true)) return state;
  if (shape.n_layers != 1) return std::nullopt;
  return BadInput{
      .key = "variant", .found = "a base of one layer", .expected = "two layers or more: yoco has halves"};
}

std::shared_ptr<Mixer> Yoco::make(const AttentionShape& shape, const Config& config) {
  if (shape.layer >= middle(shape)) return make_shared_kv(shape, middle(shape));
  if (config.first_half == YocoFirstHalf::retention) return std::make_shared<GatedRetention>(shape);
  return Gqa::make(windowed(shape, config), {});
}

TensorMap Yoco::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  if (shape.layer >= middle(shape)) return shared_kv_from_gqa(shape, middle(shape), gqa);
  if (config.first_half == YocoFirstHalf::retention) return gated_retention_from_gqa(shape, gqa);
  return all_projections(gqa);
}

std::vector<int64_t> Yoco::kv_layers(const AttentionShape& shape, const Config& config) {
  std::vector<int64_t> layers{shape.layer};
  if (config.start == SharedStart::first || shape.layer != middle(shape)) return layers;
  while (layers.back() + 1 < shape.n_layers) layers.push_back(layers.back() + 1);
  return layers;
}

}  // namespace attnlab
