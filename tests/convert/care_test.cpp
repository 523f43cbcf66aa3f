// The transform into CARE: the least error on calibration text, and a budget of numbers that is met exactly.
#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <numeric>

#include "biased_decoder.h"
#include "catch.h"
#include "convert/rank_allocation.h"
#include "model/families/families.h"

namespace attnlab::test {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::MatrixXd to_eigen(const torch::Tensor& x) {
  const auto rows = x.contiguous();
  return Eigen::Map<const RowMajor>(rows.data_ptr<double>(), rows.size(0), rows.size(1));
}

int64_t sum(const std::vector<int64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
}

TEST_CASE("care: at full rank nothing changes, no text is asked for, and norms of heads stay") {
  for (const auto family : {Family::qwen2, Family::qwen3}) {
    DecoderConfig config = biased_config();
    config.family = family;
    config.qkv_bias = config.o_bias = family == Family::qwen2;
    const auto done = convert_small(config, biased_weights(config), Care::Config{});
    REQUIRE(done.report.stages.size() == 1);
    CHECK(done.report.stages[0].exact);
    CHECK(done.report.stages[0].from_base.kl_divergence < 1e-9);
    CHECK(done.report.stages[0].cached_numbers == done.report.base_cached_numbers);
    CHECK_FALSE(make_transform(config, Care::Config{})->stages()[0].calibrated);
  }
}

// The second moment of [x, 1] with its damping, by rank_allocation.h.
torch::Tensor damped_inputs(const torch::Tensor& x_PD) {
  const auto inputs = torch::cat({x_PD, torch::ones({x_PD.size(0), 1}, x_PD.options())}, 1);
  const auto moment = torch::matmul(inputs.t(), inputs);
  return moment + 1e-4 * moment.diagonal().mean() * torch::eye(moment.size(0), moment.options());
}

// Σ ‖(Ŵ - W) x‖² over inputs with that second moment.
double lost(const TensorMap& base, const DecoderConfig& config, const TensorMap& weights, const char* side,
            const torch::Tensor& moment) {
  const std::string prefix = "model.layers.0.self_attn.";
  const auto whole = [&](const TensorMap& from) {
    const std::string name = prefix + side + "_proj.";
    return torch::cat({from.at(name + "weight"), from.at(name + "bias").unsqueeze(1)}, 1).to(torch::kFloat64);
  };
  // Every query head has the keys of its KV head: one of each suffices.
  const int64_t per_kv = config.n_heads / config.n_kv_heads;
  const auto up = weights.at(prefix + side + "_up_proj.weight")
                      .to(torch::kFloat64)
                      .unflatten(0, {config.n_kv_heads, per_kv, config.head_dim})
                      .select(1, 0)
                      .flatten(0, 1);
  const auto error = torch::matmul(up, whole(weights)) - whole(base);
  return (error * torch::matmul(error, moment)).sum().item<double>();
}

TEST_CASE("care: the error on calibration text is the least that the rank allows") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  constexpr int64_t rank = 6;
  const Care::Config target{.rank = rank, .allocation = RankAllocation::uniform};
  Care::Config plain = target;
  plain.covariance = false;
  const auto done = convert_small(config, weights, target), other = convert_small(config, weights, plain);
  const auto moment = damped_inputs(first_inputs(config, weights));
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> root(to_eigen(moment));
  for (const char* side : {"k", "v"}) {
    const std::string name = std::string("model.layers.0.self_attn.") + side + "_proj.";
    const auto whole = torch::cat({weights.at(name + "weight"), weights.at(name + "bias").unsqueeze(1)}, 1)
                           .to(torch::kFloat64);
    const Eigen::MatrixXd whitened = to_eigen(whole) * root.operatorSqrt();
    const Eigen::VectorXd S2 = Eigen::JacobiSVD<Eigen::MatrixXd>(whitened).singularValues().array().square();
    const double least = S2.tail(S2.size() - rank).sum(),
                 found = lost(weights, config, done.weights, side, moment);
    // float32: inputs and factors round by 6e-8 of outputs whose squares sum to Σ S².
    CHECK(found == Approx(least).margin(1e-5 * S2.sum()));
    CHECK(found < lost(weights, config, other.weights, side, moment));
    const auto& facts = done.report.stages[0].layers[0];
    CHECK(facts.at(std::string(side) + "_energy_kept") == Approx(1 - least / S2.sum()).epsilon(1e-4));
    CHECK(facts.at(std::string(side) + "_rank") == rank);
  }
}

TEST_CASE("care: ranks follow the energies, and their sum is the budget") {
  const auto energies = [](std::vector<double> values) { return torch::tensor(values, torch::kFloat64); };
  // Shares: 0.5 0.3 0.2 0 | 0.9 0.1 0 0 | 0.4 0.3 0.2 0.1 | 1 0 0 0; the first of each is given.
  const std::vector<LayerEnergies> layers{{energies({5, 3, 2, 0}), energies({90, 10, 0, 0})},
                                          {energies({4, 3, 2, 1}), energies({7, 0, 0, 0})}};
  const auto ranks = [&](int64_t budget) {
    const auto found = allocate_ranks(layers, budget);
    return std::vector<std::vector<int64_t>>{found.keys, found.values};
  };
  using Ranks = std::vector<std::vector<int64_t>>;
  CHECK(ranks(4) == Ranks{{1, 1}, {1, 1}});
  CHECK(ranks(5) == Ranks{{2, 1}, {1, 1}});  // 0.3 twice: the earlier layer
  CHECK(ranks(6) == Ranks{{2, 2}, {1, 1}});
  CHECK(ranks(8) == Ranks{{3, 3}, {1, 1}});
  CHECK(ranks(10) == Ranks{{3, 4}, {2, 1}});
  CHECK(ranks(16) == Ranks{{4, 4}, {4, 4}});
}

TEST_CASE("care: the converted model keeps as many numbers as the budget has") {
  const auto config = biased_config();
  auto weights = biased_weights(config);
  // One layer whose keys have few directions that count.
  weights.at("model.layers.1.self_attn.k_proj.weight").narrow(0, 0, 2).mul_(20);
  for (const bool covariance : {true, false}) {
    const Care::Config target{.rank = 5, .covariance = covariance};
    CHECK(make_transform(config, target)->has_open_settings());
    const auto done = convert_small(config, weights, target);
    const auto& settled = done.settled.front().variant().get<Care>();
    CHECK(sum(settled.layers.keys) + sum(settled.layers.values) == 2 * 5 * config.n_layers);
    CHECK(done.report.stages[0].cached_numbers == 2 * 5 * config.n_layers);
    CHECK(settled.layers.keys[1] < 4);
    CHECK_FALSE(make_transform(config, settled)->has_open_settings());
    Decoder decoder(config, settled);
    load_weights(decoder, done.weights);
    CHECK(decoder.cached_numbers_per_token() == 2 * 5 * config.n_layers);
  }
  const auto uniform =
      convert_small(config, weights, Care::Config{.rank = 5, .allocation = RankAllocation::uniform});
  CHECK(uniform.settled.front().variant().get<Care>().layers.keys.empty());
  for (const auto& facts : uniform.report.stages[0].layers) {
    CHECK(facts.at("k_rank") == 5);
    CHECK(facts.at("v_rank") == 5);
  }
}

TEST_CASE("care: weights without calibration follow lists of ranks, too") {
  const auto config = biased_config();
  const Care::Config target{.layers = {{16, 16, 16}, {16, 3, 16}}};
  const auto weights = convert_weights(biased_weights(config), {config, target});
  CHECK(weights.at("model.layers.0.self_attn.v_proj.weight").size(0) == 16);
  CHECK(weights.at("model.layers.1.self_attn.v_proj.weight").size(0) == 3);
  Decoder decoder(config, target);
  CHECK_NOTHROW(load_weights(decoder, weights));
}

TEST_CASE("care: text must hold as many tokens as directions are estimated") {
  const auto config = biased_config();  // D = 20, G·H = 16
  CHECK(make_transform(config, Care::Config{.rank = 5})->numbers_to_estimate() == 16);
  CHECK(make_transform(config, Care::Config{.rank = 5, .covariance = false})->numbers_to_estimate() == 0);
  CHECK_THROWS_WITH(make_transform(config, Care::Config{.rank = 17}), ContainsSubstring("rank: found 17"));
  CHECK_THROWS_WITH(make_transform(config, Care::Config{.layers = {{3}, {3}}}),
                    ContainsSubstring("k_ranks: found 1 numbers, expected one for each of 3 layers"));
}

}  // namespace
}  // namespace attnlab::test
