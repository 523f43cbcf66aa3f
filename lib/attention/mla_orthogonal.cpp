#include "attention/mla_orthogonal.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/factorize.h"
#include "attention/latent_attention.h"

namespace attnlab {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::MatrixXd to_eigen(const torch::Tensor& matrix) {
  const auto x = matrix.to(torch::kCPU, torch::kFloat64).contiguous();
  return Eigen::Map<const RowMajor>(x.data_ptr<double>(), x.size(0), x.size(1));
}

torch::Tensor to_torch(const Eigen::MatrixXd& matrix, torch::TensorOptions options) {
  RowMajor rows = matrix;
  return torch::from_blob(rows.data(), {rows.rows(), rows.cols()}, torch::kFloat64).clone().to(options);
}

struct Side {
  torch::Tensor down_weight, down_bias, up_weight;
};

// One side (K or V): factors of every KV head, stacked into down [G·rank, D (+1)] and block-diagonal up.
Side decompose(const AttentionShape& shape, const MlaOrthogonal::Config& config, const torch::Tensor& weight,
               const torch::Tensor& bias) {
  const int64_t H = shape.head_dim, rank = config.rank.value_or(H);
  const auto with_bias = bias.defined() ? torch::cat({weight, bias.unsqueeze(1)}, 1) : weight;
  const Eigen::MatrixXd expansion = to_eigen(torch::eye(H, torch::kFloat64).repeat({shape.heads_per_kv(), 1}));
  std::vector<torch::Tensor> downs, ups;
  for (int64_t g = 0; g < shape.n_kv_heads; ++g) {
    const auto head = factorize(expansion, to_eigen(with_bias.narrow(0, g * H, H)), rank, config.split);
    downs.push_back(to_torch(head.down, weight.options()));
    ups.push_back(to_torch(head.up, weight.options()));
  }
  const auto down = torch::cat(downs, 0);
  return {.down_weight = down.narrow(1, 0, weight.size(1)).contiguous(),
          .down_bias = bias.defined() ? down.select(1, weight.size(1)).contiguous() : torch::Tensor(),
          .up_weight = torch::block_diag(ups)};
}

}  // namespace

std::shared_ptr<Mixer> MlaOrthogonal::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LatentAttention>(shape, per_kv_head(shape, latent_rank(shape, config)),
                                           config.absorb);
}

std::optional<MlaOrthogonal::Config> MlaOrthogonal::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t rank = numbers / (2 * shape.n_kv_heads);
  if (rank < 1) return std::nullopt;
  return Config{.rank = std::min(rank, shape.head_dim)};
}

std::optional<BadInput> MlaOrthogonal::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  const int64_t rank = config.rank.value_or(1);
  if (rank >= 1 && rank <= shape.head_dim) return std::nullopt;
  return BadInput{.key = "rank",
                  .found = fmt::format("{}", rank),
                  .expected = fmt::format("1 to head_dim = {}", shape.head_dim)};
}

TensorMap MlaOrthogonal::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = query_and_output(gqa);
  const auto store = [&](const std::string& side, const torch::Tensor& weight, const torch::Tensor& bias) {
    const Side factors = decompose(shape, config, weight, bias);
    out[side + "_proj.weight"] = factors.down_weight;
    out[side + "_up_proj.weight"] = factors.up_weight;
    if (bias.defined()) out[side + "_proj.bias"] = factors.down_bias;
  };
  store("k", gqa.k_weight, gqa.k_bias);
  store("v", gqa.v_weight, gqa.v_bias);
  return out;
}

}  // namespace attnlab
