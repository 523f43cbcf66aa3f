// Grouped-tied attention against loops, and where it is GQA.
#include "attention/gta.h"

#include <cmath>

#include "attention/gqa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

Tokens turning_by(Tokens input, int64_t r) {
  input.tables() = rotary_tables(torch::arange(input.x_BTD.size(1)).unsqueeze(0), r, 10000.0, kDouble);
  return input;
}

// x W ᵀ + b of one row.
std::vector<double> linear(const torch::OrderedDict<std::string, torch::Tensor>& parameters,
                           const std::string& name, const torch::Tensor& x_D) {
  const auto weight = parameters[name + ".weight"];
  const auto* bias = parameters.find(name + ".bias");
  std::vector<double> y;
  for (int64_t i = 0; i < weight.size(0); ++i) {
    double sum = bias ? (*bias)[i].item<double>() : 0;
    for (int64_t d = 0; d < weight.size(1); ++d) sum += weight[i][d].item<double>() * x_D[d].item<double>();
    y.push_back(sum);
  }
  return y;
}

// RoPE on r numbers from `at` on, halves apart.
void turn(std::vector<double>& x, size_t at, int64_t r, const RotaryTables& tables, int64_t t) {
  for (int64_t i = 0; i < r / 2; ++i) {
    const double c = tables.cos_BTH[0][t][i].item<double>(), s = tables.sin_BTH[0][t][i].item<double>();
    const size_t a = at + static_cast<size_t>(i), b = a + static_cast<size_t>(r / 2);
    const double first = x[a], second = x[b];
    x[a] = first * c - second * s;
    x[b] = second * c + first * s;
  }
}

// The equations of gta.h, token by token.
torch::Tensor in_loops(const Mixer& module, const Tokens& input, int64_t r) {
  const auto& shape = module.shape();
  const auto parameters = module.named_parameters();
  const int64_t T = input.x_BTD.size(1), H = shape.head_dim, nope = H - r;
  std::vector<torch::Tensor> rows;
  std::vector<std::vector<double>> q, kv, rope;
  for (int64_t t = 0; t < T; ++t) {
    q.push_back(linear(parameters, "q_proj", input.x_BTD[0][t]));
    kv.push_back(linear(parameters, "kv_proj", input.x_BTD[0][t]));
    rope.push_back(linear(parameters, "k_rope_proj", input.x_BTD[0][t]));
    for (int64_t n = 0; n < shape.n_heads; ++n)
      turn(q.back(), static_cast<size_t>(n * H + nope), r, input.tables(), t);
    turn(rope.back(), 0, r, input.tables(), t);
    std::vector<double> heads;
    for (int64_t n = 0; n < shape.n_heads; ++n) {
      const auto of_head = static_cast<size_t>(n * H),
                 of_group = static_cast<size_t>(n / shape.heads_per_kv() * H);
      std::vector<double> weights;
      double total = 0;
      for (size_t s = 0; s <= static_cast<size_t>(t); ++s) {
        double score = 0;
        for (size_t i = 0; i < static_cast<size_t>(nope); ++i)
          score += q.back()[of_head + i] * kv[s][of_group + i];
        for (size_t i = 0; i < static_cast<size_t>(r); ++i)
          score += q.back()[of_head + static_cast<size_t>(nope) + i] * rope[s][i];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(H))));
        total += weights.back();
      }
      for (size_t i = 0; i < static_cast<size_t>(H); ++i) {
        double sum = 0;
        for (size_t s = 0; s < weights.size(); ++s) sum += weights[s] / total * kv[s][of_group + i];
        heads.push_back(sum);
      }
    }
    rows.push_back(torch::tensor(linear(parameters, "o_proj", torch::tensor(heads, kDouble)), kDouble));
  }
  return torch::stack(rows).unsqueeze(0);
}

TEST_CASE("gta is its equations, at every width of the rotary part") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.B = 1, size.T = 7;
    const int64_t H = size.shape.head_dim;
    for (const int64_t r : {int64_t{2}, H}) {
      INFO(size.name << ", r " << r);
      const auto module = random_attention(size, Gta::Config{.qk_rope_head_dim = r}, kDouble, 11);
      const auto input = turning_by(random_input(size, kDouble, 12), r);
      const auto expected = in_loops(*module, input, r);
      CHECK(close(module->forward(input), expected, tolerance(size, kDouble, expected)));
    }
  }
}

TEST_CASE("one KV head whose keys all turn is taken over exactly, and otherwise the start only approximates") {
  for (const auto& size : odd_sizes())
    for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
      INFO(size.name);
      const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
      const auto input = random_input(size, dtype, 22);
      const auto expected = gqa->forward(input);
      const Gta::Config whole{.qk_rope_head_dim = size.shape.head_dim};
      const bool exact = variant_is_exact(size.shape, whole);
      CHECK(exact == (size.shape.n_kv_heads == 1));
      // One product more than the chain has (the tied factors), and two sides that round independently.
      const double bound = 4 * tolerance(size, dtype, expected);
      CHECK(close(converted(*gqa, whole)->forward(input), expected, bound) == exact);
    }
}

TEST_CASE("gta: what can't be built is refused by its key, and what it keeps is counted") {
  const AttentionShape shape{8, 4, 2, 12};
  const auto refusal = [&](const AttentionShape& of, const Gta::Config& config) {
    const auto problem = Gta::problem(of, config);
    return problem ? describe(*problem) : "accepted";
  };
  for (const int64_t r : {2, 4, 6, 12}) CHECK(refusal(shape, {.qk_rope_head_dim = r}) == "accepted");
  for (const int64_t r : {3, 8, 14})
    CHECK_THAT(refusal(shape, {.qk_rope_head_dim = r}),
               ContainsSubstring("qk_rope_head_dim: found") && ContainsSubstring("head_dim / 2 = 6"));
  AttentionShape other = shape;
  other.qk_norm = true;
  CHECK_THAT(refusal(other, {}), ContainsSubstring("does not commute"));
  CHECK(numbers_per_token(make_mixer(shape, Gta::Config{})->state_layout()) == 2 * 12 + 6);
  CHECK(variant_turning_dim(shape, Gta::Config{}, 12) == 6);
}

}  // namespace
}  // namespace attnlab::test
