#include "reference/decoder_twin.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace attnlab::reference {
namespace {

// One row for each token.
struct Matrix {
  int64_t rows = 0, columns = 0;
  Values values = Values(static_cast<size_t>(rows * columns));

  double& operator()(int64_t r, int64_t c) { return values[static_cast<size_t>(r * columns + c)]; }
  double operator()(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * columns + c)]; }
};
using Heads = std::vector<Matrix>;

// A part of the columns.
Matrix slice(const Matrix& x, int64_t from, int64_t width) {
  Matrix y{x.rows, width};
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < width; ++c) y(r, c) = x(r, from + c);
  return y;
}

Matrix beside(const Matrix& a, const Matrix& b) {
  Matrix y{a.rows, a.columns + b.columns};
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t c = 0; c < y.columns; ++c) y(r, c) = c < a.columns ? a(r, c) : b(r, c - a.columns);
  return y;
}

Heads split(const Matrix& x, int64_t heads) {
  Heads parts;
  const int64_t width = x.columns / heads;
  for (int64_t n = 0; n < heads; ++n) parts.push_back(slice(x, n * width, width));
  return parts;
}

Matrix join(const Heads& heads) {
  Matrix all = heads.front();
  for (size_t n = 1; n < heads.size(); ++n) all = beside(all, heads[n]);
  return all;
}

void add(Matrix& to, const Matrix& more) {
  for (size_t i = 0; i < to.values.size(); ++i) to.values[i] += more.values[i];
}

double capped(double x, double cap) { return cap > 0 ? cap * std::tanh(x / cap) : x; }

Values softmax(Values scores) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - highest);
  for (double& score : scores) score /= total;
  return scores;
}

class Twin {
 public:
  Twin(const TwinConfig& config, const NamedValues& tensors, int64_t T)
      : config_(config),
        tensors_(tensors),
        angles_(twin_angles(config.rope, T)),
        window_angles_(config.window_theta > 0 ? twin_angles({.theta = config.window_theta,
                                                              .dim = config.rope.dim,
                                                              .angle_scale = config.rope.angle_scale},
                                                             T)
                                               : angles_) {}

  Matrix logits(const std::vector<int64_t>& ids) const {
    Matrix x = embed(ids);
    for (size_t i = 0; i < config_.windows.size(); ++i) layer(x, i);
    x = norm("model.norm", x);
    const bool tied = !has("lm_head.weight");
    Matrix out = linear(tied ? "model.embed_tokens" : "lm_head", x, config_.vocab);
    for (double& logit : out.values) logit = capped(logit, config_.logit_cap);
    return out;
  }

 private:
  bool has(const std::string& name) const { return tensors_.contains(name); }

  // A tensor that must have that many numbers.
  const Values& tensor(const std::string& name, int64_t size) const {
    const Values& values = tensors_.at(name);
    if (static_cast<int64_t>(values.size()) != size) throw std::runtime_error(name + " has another size");
    return values;
  }

  // W x + b for every row.
  Matrix linear(const std::string& name, const Matrix& x, int64_t out) const {
    const Values& weight = tensor(name + ".weight", out * x.columns);
    const Values bias = has(name + ".bias") ? tensor(name + ".bias", out) : Values(static_cast<size_t>(out));
    Matrix y{x.rows, out};
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t o = 0; o < out; ++o) {
        y(r, o) = bias[static_cast<size_t>(o)];
        for (int64_t i = 0; i < x.columns; ++i)
          y(r, o) += weight[static_cast<size_t>(o * x.columns + i)] * x(r, i);
      }
    return y;
  }

  // x / √(mean x² + eps) · w, Gemma: · (1 + w) (arXiv 1910.07467).
  Matrix norm(const std::string& name, const Matrix& x, double eps) const {
    const Values& weight = tensor(name + ".weight", x.columns);
    Matrix y = x;
    for (int64_t r = 0; r < x.rows; ++r) {
      double squares = 0;
      for (int64_t c = 0; c < x.columns; ++c) squares += x(r, c) * x(r, c);
      const double root = std::sqrt(squares / static_cast<double>(x.columns) + eps);
      for (int64_t c = 0; c < x.columns; ++c)
        y(r, c) = x(r, c) / root * ((config_.gemma ? 1 : 0) + weight[static_cast<size_t>(c)]);
    }
    return y;
  }
  Matrix norm(const std::string& name, const Matrix& x) const { return norm(name, x, config_.norm_eps); }

  Matrix embed(const std::vector<int64_t>& ids) const {
    const Values& table = tensor("model.embed_tokens.weight", config_.vocab * config_.width);
    const double scale = config_.gemma ? std::sqrt(static_cast<double>(config_.width)) : 1;
    Matrix x{static_cast<int64_t>(ids.size()), config_.width};
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t c = 0; c < x.columns; ++c)
        x(t, c) = scale * table[static_cast<size_t>(ids[static_cast<size_t>(t)] * config_.width + c)];
    return x;
  }

  // x ← x + attention(norm(x)), x ← x + mlp(norm(x)); Gemma norms what is added, too.
  void layer(Matrix& x, size_t index) const {
    const std::string name = "model.layers." + std::to_string(index) + ".";
    const std::string attention = name + "self_attn.";
    const Matrix in = norm(name + "input_layernorm", x);
    const bool latent = has(attention + "kv_a_proj_with_mqa.weight");
    const Matrix attended =
        latent ? mla(attention, in, config_.windows[index]) : gqa(attention, in, config_.windows[index]);
    add(x, config_.gemma ? norm(name + "post_attention_layernorm", attended) : attended);
    const Matrix between =
        norm(name + (config_.gemma ? "pre_feedforward_layernorm" : "post_attention_layernorm"), x);
    Matrix out;
    if (has(name + "block_sparse_moe.gate.weight"))
      out = moe(name + "block_sparse_moe.", {"w1", "w3", "w2"}, between);
    else if (has(name + "mlp.gate.weight"))
      out = moe(name + "mlp.", {"gate_proj", "up_proj", "down_proj"}, between);
    else
      out = mlp(name + "mlp.", between, config_.mlp_width);
    add(x, config_.gemma ? norm(name + "post_feedforward_layernorm", out) : out);
  }

  // Turns the first `dim` numbers of each row, which is a head's at one position.
  Matrix rotate(const Matrix& x, int64_t window) const {
    const TwinRope& rope = config_.rope;
    const TwinAngles& angles = window > 0 ? window_angles_ : angles_;
    const int64_t half = rope.dim / 2;
    Matrix y = x;
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t i = 0; i < half; ++i) {
        const int64_t first = rope.interleaved ? 2 * i : i, second = rope.interleaved ? 2 * i + 1 : i + half;
        const double c = angles.cos[static_cast<size_t>(t * half + i)];
        const double s = angles.sin[static_cast<size_t>(t * half + i)];
        y(t, first) = x(t, first) * c - x(t, second) * s;
        y(t, second) = x(t, first) * s + x(t, second) * c;
      }
    return y;
  }

  // softmax(cap(q kᵀ / √scalar)) v over the last `window` tokens up to the query's own.
  Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v, int64_t window) const {
    Matrix out{q.rows, v.columns};
    for (int64_t t = 0; t < q.rows; ++t) {
      const int64_t first = window > 0 ? std::max<int64_t>(0, t - window + 1) : 0;
      Values scores;
      for (int64_t s = first; s <= t; ++s) {
        double dot = 0;
        for (int64_t c = 0; c < q.columns; ++c) dot += q(t, c) * k(s, c);
        scores.push_back(capped(dot / std::sqrt(config_.query_scalar), config_.score_cap));
      }
      const Values shares = softmax(scores);
      for (int64_t s = first; s <= t; ++s)
        for (int64_t c = 0; c < v.columns; ++c) out(t, c) += shares[static_cast<size_t>(s - first)] * v(s, c);
    }
    return out;
  }

  // Query head n shares the KV head ⌊n · kv_heads / heads⌋ (arXiv 2305.13245).
  Matrix gqa(const std::string& name, const Matrix& x, int64_t window) const {
    const int64_t q_width = config_.heads * config_.head_dim, kv_width = config_.kv_heads * config_.head_dim;
    const bool fused = has(name + "qkv_proj.weight");
    const Matrix all =
        fused ? linear(name + "qkv_proj", x, q_width + 2 * kv_width)
              : beside(beside(linear(name + "q_proj", x, q_width), linear(name + "k_proj", x, kv_width)),
                       linear(name + "v_proj", x, kv_width));
    Heads q = split(slice(all, 0, q_width), config_.heads);
    Heads k = split(slice(all, q_width, kv_width), config_.kv_heads);
    const Heads v = split(slice(all, q_width + kv_width, kv_width), config_.kv_heads);
    const bool normed = has(name + "q_norm.weight");
    for (Matrix& head : q) head = rotate(normed ? norm(name + "q_norm", head) : head, window);
    for (Matrix& head : k) head = rotate(normed ? norm(name + "k_norm", head) : head, window);
    Heads out;
    for (size_t n = 0; n < q.size(); ++n) {
      const size_t g = n * k.size() / q.size();
      out.push_back(attend(q[n], k[g], v[g], window));
    }
    return linear(name + "o_proj", join(out), config_.width);
  }

  // DeepSeek-V2, arXiv 2405.04434, equations 9 to 19. The latents' norms have the epsilon 1e-6 in all releases.
  Matrix mla(const std::string& name, const Matrix& x, int64_t window) const {
    constexpr double eps = 1e-6;
    const int64_t N = config_.heads, nope = config_.nope_dim, rope = config_.rope.dim,
                  value = config_.value_dim;
    const bool compressed = has(name + "q_a_proj.weight");
    const Matrix q =
        compressed ? linear(name + "q_b_proj",
                            norm(name + "q_a_layernorm", linear(name + "q_a_proj", x, config_.q_rank), eps),
                            N * (nope + rope))
                   : linear(name + "q_proj", x, N * (nope + rope));
    const Matrix down = linear(name + "kv_a_proj_with_mqa", x, config_.kv_rank + rope);
    const Matrix latent = norm(name + "kv_a_layernorm", slice(down, 0, config_.kv_rank), eps);
    const Matrix k_rope = rotate(slice(down, config_.kv_rank, rope), window);
    const Heads queries = split(q, N), kv = split(linear(name + "kv_b_proj", latent, N * (nope + value)), N);
    Heads out;
    for (size_t n = 0; n < queries.size(); ++n) {
      const Matrix q_n = beside(slice(queries[n], 0, nope), rotate(slice(queries[n], nope, rope), window));
      out.push_back(attend(q_n, beside(slice(kv[n], 0, nope), k_rope), slice(kv[n], nope, value), window));
    }
    return linear(name + "o_proj", join(out), config_.width);
  }

  // SiLU, or GELU in its tanh form (arXiv 1606.08415).
  double activation(double x) const {
    if (!config_.gemma) return x / (1 + std::exp(-x));
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }

  // down(activation(gate) · up).
  Matrix gated(const Matrix& gate, const Matrix& up, const std::string& down) const {
    Matrix inner = gate;
    for (size_t i = 0; i < inner.values.size(); ++i)
      inner.values[i] = activation(gate.values[i]) * up.values[i];
    return linear(down, inner, config_.width);
  }

  Matrix mlp(const std::string& name, const Matrix& x, int64_t F) const {
    if (!has(name + "gate_up_proj.weight"))
      return gated(linear(name + "gate_proj", x, F), linear(name + "up_proj", x, F), name + "down_proj");
    const Matrix both = linear(name + "gate_up_proj", x, 2 * F);
    return gated(slice(both, 0, F), slice(both, F, F), name + "down_proj");
  }

  // The places of the `count` largest.
  static std::vector<size_t> largest(const Values& values, int64_t count) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
    order.resize(static_cast<size_t>(count));
    return order;
  }

  // Of the best groups the best experts. A group counts as its best expert (DeepSeek-V2, arXiv 2405.04434,
  // section 2.1.2) or, where choices have a bias, as its two best (DeepSeek-V3, arXiv 2412.19437,
  // section 2.1.2).
  std::vector<size_t> chosen(Values choice, bool biased) const {
    const size_t size = choice.size() / static_cast<size_t>(config_.groups);
    Values groups;
    for (size_t g = 0; g < choice.size(); g += size) {
      Values members(choice.begin() + static_cast<std::ptrdiff_t>(g),
                     choice.begin() + static_cast<std::ptrdiff_t>(g + size));
      double worth = 0;
      for (const size_t best : largest(members, biased && config_.groups > 1 ? 2 : 1)) worth += members[best];
      groups.push_back(worth);
    }
    const auto used = largest(groups, config_.groups_used);
    for (size_t e = 0; e < choice.size(); ++e)
      if (std::find(used.begin(), used.end(), e / size) == used.end()) choice[e] = -INFINITY;
    return largest(choice, config_.experts_per_token);
  }

  // The chosen experts by their shares: of the softmax, made to sum to 1 (arXiv 2401.04088, section 2.1) or
  // not, or sigmoids; beside them an MLP that all tokens share.
  Matrix moe(const std::string& name, const std::array<std::string, 3>& matrices, const Matrix& x) const {
    const int64_t E = config_.experts, F = config_.expert_width > 0 ? config_.expert_width : config_.mlp_width;
    const bool biased = has(name + "gate.e_score_correction_bias");
    const Matrix scores = linear(name + "gate", x, E);
    Matrix out{x.rows, config_.width};
    for (int64_t t = 0; t < x.rows; ++t) {
      Values shares(&scores.values[static_cast<size_t>(t * E)], &scores.values[static_cast<size_t>(t * E)] + E);
      if (!biased) shares = softmax(shares);
      Values choice = shares;
      for (size_t e = 0; biased && e < shares.size(); ++e) {
        shares[e] = 1 / (1 + std::exp(-shares[e]));
        choice[e] = shares[e] + tensor(name + "gate.e_score_correction_bias", E)[e];
      }
      const auto used = chosen(choice, biased);
      double total = 0;
      for (const size_t e : used) total += shares[e];
      Matrix token{1, x.columns};
      for (int64_t c = 0; c < x.columns; ++c) token(0, c) = x(t, c);
      for (const size_t e : used) {
        const std::string expert = name + "experts." + std::to_string(e) + ".";
        const Matrix y = gated(linear(expert + matrices[0], token, F), linear(expert + matrices[1], token, F),
                               expert + matrices[2]);
        const double weight = config_.routed_scale * shares[e] / (config_.shares_sum ? total : 1);
        for (int64_t c = 0; c < out.columns; ++c) out(t, c) += weight * y(0, c);
      }
    }
    const std::string shared = name + "shared_experts.";
    if (!has(shared + "up_proj.weight")) return out;
    const auto width = static_cast<int64_t>(tensors_.at(shared + "up_proj.weight").size()) / x.columns;
    add(out, mlp(shared, x, width));
    return out;
  }

  const TwinConfig& config_;
  const NamedValues& tensors_;
  TwinAngles angles_, window_angles_;
};

}  // namespace

Values decoder_logits(const TwinConfig& config, const NamedValues& tensors, const std::vector<int64_t>& ids) {
  return Twin(config, tensors, static_cast<int64_t>(ids.size())).logits(ids).values;
}

}  // namespace attnlab::reference
