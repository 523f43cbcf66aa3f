#include "attention/gta.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/attention.h"
#include "attention/gta_start.h"
#include "attention/spectral.h"

namespace attnlab {
namespace {

// The fewest times, but once, that rotary's frequencies can be thinned: the base's are kept that way.
int64_t least_collapse(int64_t half) {
  for (int64_t c = 2; c <= half; ++c)
    if (half % c == 0) return c;
  return 1;
}

int64_t rope_of(const AttentionShape& shape, const Gta::Config& config) {
  const int64_t turning = turning_width(shape);
  if (turning < shape.head_dim) return config.qk_rope_head_dim.value_or(turning);
  return config.qk_rope_head_dim.value_or(turning / least_collapse(turning / 2));
}

// The base's frequencies are thinned to r / 2.
GatheredRotary rotary_of(const AttentionShape& shape, const Gta::Config& config) {
  const int64_t collapse = turning_width(shape) / rope_of(shape, config);
  return {.freqfold = collapse, .collapse = collapse};
}

class GroupedTiedAttention final : public Attention {
 public:
  GroupedTiedAttention(const AttentionShape& shape, const Gta::Config& config)
      : Attention(shape), rope_(rope_of(shape, config)) {
    const int64_t D = shape.d_model, width = shape.n_heads * shape.head_dim;
    q_proj_ = register_module("q_proj", Linear(D, width, shape.qkv_bias));
    kv_proj_ = register_module("kv_proj", Linear(D, shape.n_kv_heads * shape.head_dim, shape.qkv_bias));
    k_rope_proj_ =
        register_module("k_rope_proj", Linear(D, rope_, config.k_rope_bias.value_or(shape.qkv_bias)));
    o_proj_ = register_module("o_proj", Linear(width, D, shape.o_bias));
  }

  StateLayout state_layout() const override {
    const int64_t G = shape_.n_kv_heads;
    return {{.name = "kv", .width = G * shape_.head_dim, .heads = G},
            {.name = "k_rope", .width = rope_, .rotated = rope_, .serves = Serves::keys, .rotary_apart = true}};
  }

 protected:
  torch::Tensor attend(AttentionPass& pass) override {
    const auto& x = pass.x_BTD();
    const int64_t G = shape_.n_kv_heads, nope = shape_.head_dim - rope_;
    const auto q = split_heads(q_proj_(x), shape_.n_heads).split_with_sizes({nope, rope_}, -1);
    const auto q_BNTH = torch::cat({q[0], pass.turn(q[1])}, -1);
    const auto kv_BGTH = split_heads(kv_proj_(x), G);
    const auto k_rope_B1Tr = pass.turn(k_rope_proj_(x).unsqueeze(1));
    const auto kv_BGSH = pass.remember(0, kv_BGTH), k_rope_B1Sr = pass.remember(1, k_rope_B1Tr);
    const auto k_BGSH = torch::cat({kv_BGSH.narrow(-1, 0, nope), k_rope_B1Sr.expand({-1, G, -1, -1})}, -1);
    return o_proj_(merge_heads(pass.attend(q_BNTH, k_BGSH, kv_BGSH, shape_.score)));
  }

 private:
  int64_t rope_;
  Linear q_proj_{nullptr}, kv_proj_{nullptr}, k_rope_proj_{nullptr}, o_proj_{nullptr};
};

// One KV head's state, and how its key and its value follow from it: key ≈ key_up c, value ≈ value_up c.
struct TiedHead {
  torch::Tensor down, key_up, value_up;
};

// `both` [2H, D (+1)]: the rows of the key without rotary, then of the value. P: the H leading principal
// directions of both, whose second moment is given; with P's key rows = A S Bᵀ, c = Bᵀ Pᵀ [key; value].
TiedHead tie(const torch::Tensor& both, const torch::Tensor& of_both) {
  const int64_t H = both.size(0) / 2;
  const auto directions = spectrum_of(of_both).vectors.narrow(1, 0, H);
  const auto [A, S, B] = torch::svd(directions.narrow(0, 0, H));
  return {.down = torch::matmul(B.t(), torch::matmul(directions.t(), both)),
          .key_up = A * S,
          .value_up = torch::matmul(directions.narrow(0, H, H), B)};
}

}  // namespace

std::optional<BadInput> Gta::problem(const AttentionShape& shape, const Config& config) {
  if (auto rotary = shared_rotary_problem(shape, {})) return rotary;
  const int64_t r = rope_of(shape, config), half = turning_width(shape) / 2;
  if (r >= 2 && r % 2 == 0 && half % (r / 2) == 0) return std::nullopt;
  const bool part = turning_width(shape) < shape.head_dim;
  return BadInput{
      .key = "qk_rope_head_dim",
      .found = fmt::format("{}", r),
      .expected = fmt::format("twice a divisor of {} = {}", part ? "what turns / 2" : "head_dim / 2", half)};
}

int64_t Gta::turning_dim(const AttentionShape& shape, const Config& config, int64_t) {
  return rope_of(shape, config);
}

bool Gta::is_exact(const AttentionShape& shape, const Config& config) {
  return keeps_rotary(shape, rotary_of(shape, config)) && turning_width(shape) == shape.head_dim;
}

int64_t Gta::latent_rank(const AttentionShape& shape, const Config&) { return shape.head_dim; }

std::optional<Gta::Config> Gta::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t half = turning_width(shape) / 2, most = (numbers - shape.n_kv_heads * shape.head_dim) / 2;
  for (int64_t turning = std::min(most, half); turning >= 1; --turning)
    if (half % turning == 0) return Config{.qk_rope_head_dim = 2 * turning};
  return std::nullopt;
}

std::shared_ptr<Mixer> Gta::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupedTiedAttention>(shape, config);
}

TensorMap Gta::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return gta_from_moments(shape, config, gqa, white_moment);
}

TensorMap gta_from_moments(const AttentionShape& shape, const Gta::Config& config, const GqaWeights& gqa,
                           const SecondMoment& moment, int64_t freqfold) {
  const int64_t D = shape.d_model, H = shape.head_dim, G = shape.n_kv_heads, M = shape.heads_per_kv();
  const int64_t r = rope_of(shape, config);
  GatheredRotary rotary = rotary_of(shape, config);
  if (freqfold > 0) rotary.freqfold = freqfold;
  const TurningApart apart = turning_apart(shape, gqa, rotary, moment);
  const auto out_DNH = gqa.o_weight.to(torch::kFloat64).unflatten(1, {shape.n_heads, H});
  std::vector<torch::Tensor> kv, q, o;
  for (int64_t g = 0; g < G; ++g) {
    const auto both = torch::cat({apart.nope_GHx[g], apart.v_GHx[g]});
    const TiedHead head = tie(both, moment_of_rows(both, D, moment));
    kv.push_back(head.down);
    const auto read = head.key_up.narrow(1, 0, H - r).t();  // [H - r, H]
    for (int64_t i = g * M; i < (g + 1) * M; ++i) {
      q.push_back(torch::matmul(read, apart.q_NHx[i]));
      q.push_back(apart.q_rope_Nrx[i]);
      o.push_back(torch::matmul(out_DNH.select(1, i), head.value_up));
    }
  }
  TensorMap out;
  store_rows(out, "q_proj", torch::cat(q), D, shape.qkv_bias, gqa.q_weight);
  store_rows(out, "kv_proj", torch::cat(kv), D, shape.qkv_bias, gqa.q_weight);
  store_rows(out, "k_rope_proj", apart.k_rope_rx, D, config.k_rope_bias.value_or(shape.qkv_bias), gqa.q_weight);
  out["o_proj.weight"] = torch::cat(o, 1).to(gqa.q_weight.options()).contiguous();
  if (gqa.o_bias.defined()) out["o_proj.bias"] = gqa.o_bias;
  return out;
}

}  // namespace attnlab
