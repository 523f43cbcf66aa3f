#include "attention/care.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/care_layer.h"
#include "attention/low_rank.h"
#include "attention/spectral.h"

namespace attnlab {
namespace {

std::optional<BadInput> list_problem(const AttentionShape& shape, const char* key,
                                     const std::vector<int64_t>& ranks) {
  const int64_t full = shape.n_kv_heads * shape.head_dim, found = static_cast<int64_t>(ranks.size());
  const int64_t layers = shape.n_layers > 0 ? shape.n_layers : shape.layer + 1;
  if (shape.n_layers > 0 ? found != layers : found < layers)
    return BadInput{.key = key,
                    .found = fmt::format("{} numbers", found),
                    .expected = fmt::format("one for each of {} layers, for keys and for values", layers)};
  for (const int64_t rank : ranks)
    if (rank < 1 || rank > full)
      return BadInput{.key = key,
                      .found = fmt::format("{}", rank),
                      .expected = fmt::format("1 to {}, which loses nothing", full)};
  return std::nullopt;
}

}  // namespace

LayerRanks::LayerRanks() = default;
LayerRanks::LayerRanks(std::vector<int64_t> of_keys, std::vector<int64_t> of_values)
    : keys(std::move(of_keys)), values(std::move(of_values)) {}
LayerRanks::LayerRanks(const LayerRanks& other) = default;
LayerRanks::LayerRanks(LayerRanks&& other) noexcept = default;
LayerRanks& LayerRanks::operator=(const LayerRanks& other) = default;
LayerRanks& LayerRanks::operator=(LayerRanks&& other) noexcept = default;
LayerRanks::~LayerRanks() = default;

std::shared_ptr<Mixer> Care::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LatentAttention>(shape, care_widths(shape, config), config.absorb);
}

std::optional<Care::Config> Care::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t rank = numbers / 2;
  if (rank < 1) return std::nullopt;
  return Config{.rank = std::min(rank, shape.n_kv_heads * shape.head_dim)};
}

bool Care::is_exact(const AttentionShape& shape, const Config& config) {
  const auto full = [&](int64_t rank) { return rank == shape.n_kv_heads * shape.head_dim; };
  if (config.layers.keys.empty()) return full(latent_rank(shape, config));
  return std::all_of(config.layers.keys.begin(), config.layers.keys.end(), full) &&
         std::all_of(config.layers.values.begin(), config.layers.values.end(), full);
}

std::optional<BadInput> Care::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const int64_t full = shape.n_kv_heads * shape.head_dim;
  if (config.rank.value_or(1) < 1 || config.rank.value_or(1) > full)
    return BadInput{.key = "rank",
                    .found = fmt::format("{}", *config.rank),
                    .expected = fmt::format("1 to {}, which loses nothing", full)};
  if (config.layers.keys.empty() && config.layers.values.empty()) return std::nullopt;
  if (auto keys = list_problem(shape, "k_ranks", config.layers.keys)) return keys;
  return list_problem(shape, "v_ranks", config.layers.values);
}

LatentWidths care_widths(const AttentionShape& shape, const Care::Config& config) {
  const int64_t all = Care::latent_rank(shape, config);
  if (config.layers.keys.empty()) return {.keys = all, .values = all};
  const auto layer = static_cast<size_t>(shape.layer);
  return {.keys = config.layers.keys.at(layer), .values = config.layers.values.at(layer)};
}

CareLayer care_layer(const AttentionShape& shape, const LatentWidths& widths, const GqaWeights& gqa,
                     const torch::Tensor& k_moment, const torch::Tensor& v_moment) {
  CareLayer out{.tensors = query_and_output(gqa)};
  const auto repetition = repetition_matrix(shape, k_moment.options());
  const auto store = [&](const std::string& side, const torch::Tensor& weight, const torch::Tensor& bias,
                         const torch::Tensor& moment, int64_t rank) {
    const auto like_weight = [&](const torch::Tensor& x) { return x.to(weight.options()).contiguous(); };
    const LowRank factors = low_rank(weight, bias, moment, rank);
    out.tensors[side + "_proj.weight"] = like_weight(factors.down);
    out.tensors[side + "_up_proj.weight"] = like_weight(torch::matmul(repetition, factors.up));
    if (bias.defined()) out.tensors[side + "_proj.bias"] = like_weight(factors.down_bias);
    return energy_kept(factors.energies, rank);
  };
  out.k_energy_kept = store("k", gqa.k_weight, gqa.k_bias, k_moment, widths.keys);
  out.v_energy_kept = store("v", gqa.v_weight, gqa.v_bias, v_moment, widths.values);
  return out;
}

TensorMap Care::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return care_layer(shape, care_widths(shape, config), gqa, white_moment(gqa.k_weight, gqa.k_bias),
                    white_moment(gqa.v_weight, gqa.v_bias))
      .tensors;
}

}  // namespace attnlab
