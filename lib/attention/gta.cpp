#include "attention/gta.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention/attention.h"
#include "attention/deepseek_stages.h"
#include "attention/rotary.h"
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
  return config.qk_rope_head_dim.value_or(shape.head_dim / least_collapse(shape.head_dim / 2));
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
// directions of both; with P's key rows = A S Bᵀ, c = Bᵀ Pᵀ [key; value].
TiedHead tie(const torch::Tensor& both) {
  const int64_t H = both.size(0) / 2;
  const auto directions = spectrum_of(torch::matmul(both, both.t())).vectors.narrow(1, 0, H);
  const auto [A, S, B] = torch::svd(directions.narrow(0, 0, H));
  return {.down = torch::matmul(B.t(), torch::matmul(directions.t(), both)),
          .key_up = A * S,
          .value_up = torch::matmul(directions.narrow(0, H, H), B)};
}

// Rows of pairs that are neighbours (DeepSeek's layout) as halves.
torch::Tensor halves_of(const torch::Tensor& rows) { return pairs_to_halves(rows.t()).t(); }

// The layer with rotary gathered in r numbers that all heads share (deepseek_stages.h). float64; biases are the
// last column.
struct TurningApart {
  torch::Tensor queries_N;  // [N, H + r, D (+1)], the rotary rows last
  torch::Tensor down;       // all keys without rotary, then all values: [n, D (+1)]
  torch::Tensor up_NXn;     // each head's key and value of them: [N, 2H, n]
  torch::Tensor k_rope;     // [r, D (+1)]
};

TurningApart turning_apart(const AttentionShape& shape, const GqaWeights& gqa, int64_t r) {
  const int64_t H = shape.head_dim, N = shape.n_heads;
  const MlaDeepseek::Config thinned{.freqfold = fmt::format("{}", H / r), .collapse = H / r};
  AttentionShape unscaled = shape;  // queries as they are: the scale stays the base's
  unscaled.score.scale = 1 / std::sqrt(static_cast<double>(H + r));
  const auto rotation = rotate_keys(shape, thinned, gqa, white_moment).rotation;
  const auto tensors = partial_rope_layer(unscaled, thinned, gqa, rotation);
  const auto rows_of = [&](const std::string& name) {
    const auto weight = tensors.at(name + ".weight").to(torch::kFloat64);
    const auto bias = tensors.find(name + ".bias");
    if (bias == tensors.end()) return weight;
    return torch::cat({weight, bias->second.to(torch::kFloat64).unsqueeze(1)}, 1);
  };
  const auto latents = rows_of("kv_a_proj_with_mqa");
  const int64_t n = latents.size(0) - r;
  return {.queries_N = rows_of("q_proj").unflatten(0, {N, H + r}),
          .down = latents.narrow(0, 0, n),
          .up_NXn = rows_of("kv_b_proj").unflatten(0, {N, 2 * H}),
          .k_rope = latents.narrow(0, n, r)};
}

}  // namespace

std::optional<BadInput> Gta::problem(const AttentionShape& shape, const Config& config) {
  if (auto removal = rope_removal_problem(shape)) return removal;
  const int64_t r = rope_of(shape, config);
  if (r >= 2 && r % 2 == 0 && (shape.head_dim / 2) % (r / 2) == 0) return std::nullopt;
  return BadInput{.key = "qk_rope_head_dim",
                  .found = fmt::format("{}", r),
                  .expected = fmt::format("twice a divisor of head_dim / 2 = {}", shape.head_dim / 2)};
}

int64_t Gta::turning_dim(const AttentionShape& shape, const Config& config, int64_t) {
  return rope_of(shape, config);
}

bool Gta::is_exact(const AttentionShape& shape, const Config& config) {
  return shape.n_kv_heads == 1 && rope_of(shape, config) == shape.head_dim;
}

int64_t Gta::latent_rank(const AttentionShape& shape, const Config&) { return shape.head_dim; }

std::optional<Gta::Config> Gta::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t half = shape.head_dim / 2, most = (numbers - shape.n_kv_heads * shape.head_dim) / 2;
  for (int64_t turning = std::min(most, half); turning >= 1; --turning)
    if (half % turning == 0) return Config{.qk_rope_head_dim = 2 * turning};
  return std::nullopt;
}

std::shared_ptr<Mixer> Gta::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupedTiedAttention>(shape, config);
}

TensorMap Gta::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  const int64_t H = shape.head_dim, N = shape.n_heads, G = shape.n_kv_heads, M = shape.heads_per_kv();
  const int64_t r = rope_of(shape, config), nope = H - r;
  const TurningApart apart = turning_apart(shape, gqa, r);
  const auto out_DNH = gqa.o_weight.to(torch::kFloat64).unflatten(1, {N, H});
  std::vector<torch::Tensor> kv, q, o;
  for (int64_t g = 0; g < G; ++g) {
    const TiedHead head = tie(torch::matmul(apart.up_NXn[g * M], apart.down));
    kv.push_back(head.down);
    const auto read = head.key_up.narrow(1, 0, nope).t();  // [H - r, H]
    for (int64_t i = g * M; i < (g + 1) * M; ++i) {
      q.push_back(torch::matmul(read, apart.queries_N[i].narrow(0, 0, H)));
      q.push_back(halves_of(apart.queries_N[i].narrow(0, H, r)));
      o.push_back(torch::matmul(out_DNH.select(1, i), head.value_up));
    }
  }
  TensorMap out;
  const auto store = [&](const std::string& name, const torch::Tensor& rows, bool has_bias) {
    const int64_t D = shape.d_model;
    out[name + ".weight"] = rows.narrow(1, 0, D).to(gqa.q_weight.options()).contiguous();
    if (!has_bias) return;
    const auto bias = rows.size(1) > D ? rows.select(1, D) : torch::zeros({rows.size(0)}, rows.options());
    out[name + ".bias"] = bias.to(gqa.q_weight.options()).contiguous();
  };
  store("q_proj", torch::cat(q), shape.qkv_bias);
  store("kv_proj", torch::cat(kv), shape.qkv_bias);
  store("k_rope_proj", halves_of(apart.k_rope), config.k_rope_bias.value_or(shape.qkv_bias));
  out["o_proj.weight"] = torch::cat(o, 1).to(gqa.q_weight.options()).contiguous();
  if (gqa.o_bias.defined()) out["o_proj.bias"] = gqa.o_bias;
  return out;
}

}  // namespace attnlab
