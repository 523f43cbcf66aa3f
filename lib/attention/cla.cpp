#include "attention/cla.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace attnlab {
namespace {

int64_t owner_of(const Cla::Config& config, int64_t layer) {
  if (config.own_layers.empty()) return layer - layer % config.share;
  return *(std::upper_bound(config.own_layers.begin(), config.own_layers.end(), layer) - 1);
}

}  // namespace

std::optional<BadInput> Cla::problem(const AttentionShape& shape, const Config& config) {
  if (auto base = shared_kv_problem(shape)) return base;
  const auto& own = config.own_layers;
  if (own.empty()) return std::nullopt;
  const bool ascends = std::adjacent_find(own.begin(), own.end(), std::greater_equal<>()) == own.end();
  const bool fits = shape.n_layers == 0 || own.back() < shape.n_layers;
  if (own.front() == 0 && ascends && fits) return std::nullopt;
  return BadInput{
      .key = "own_layers",
      .found = fmt::format("{} first and {} last", own.front(), own.back()),
      .expected = fmt::format("the first layer, 0, and others in ascending order, below {}", shape.n_layers)};
}

bool Cla::is_exact(const AttentionShape& shape, const Config& config) {
  for (int64_t layer = 0; layer < shape.n_layers; ++layer)
    if (owner_of(config, layer) != layer) return false;
  return true;
}

std::shared_ptr<Mixer> Cla::make(const AttentionShape& shape, const Config& config) {
  return make_shared_kv(shape, owner_of(config, shape.layer));
}

TensorMap Cla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return shared_kv_from_gqa(shape, owner_of(config, shape.layer), gqa);
}

std::vector<int64_t> Cla::kv_layers(const AttentionShape& shape, const Config& config) {
  std::vector<int64_t> layers{shape.layer};
  if (config.start == SharedStart::first || owner_of(config, shape.layer) != shape.layer) return layers;
  while (layers.back() + 1 < shape.n_layers && owner_of(config, layers.back() + 1) == shape.layer)
    layers.push_back(layers.back() + 1);
  return layers;
}

}  // namespace attnlab
