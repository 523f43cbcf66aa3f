#include "reference/attention_twin.h"

#include <cmath>

namespace attnlab::reference {
namespace {

size_t at(int64_t row, int64_t width, int64_t column) { return static_cast<size_t>(row * width + column); }

// y = W x + b for every row of x.
Values linear(const NamedValues& parameters, const std::string& name, const Values& x, int64_t in) {
  const Values& weight = parameters.at(name + ".weight");
  const auto bias = parameters.find(name + ".bias");
  const int64_t rows = static_cast<int64_t>(x.size()) / in, out = static_cast<int64_t>(weight.size()) / in;
  Values y(static_cast<size_t>(rows * out));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias == parameters.end() ? 0 : bias->second[static_cast<size_t>(o)];
      for (int64_t i = 0; i < in; ++i) sum += weight[at(o, in, i)] * x[at(r, in, i)];
      y[at(r, out, o)] = sum;
    }
  return y;
}

// dW = dyᵀ x, db = Σ dy into `gradients`; returns dx = dy W.
Values linear_backward(const NamedValues& parameters, const std::string& name, const Values& x, int64_t in,
                       const Values& dy, NamedValues& gradients) {
  const Values& weight = parameters.at(name + ".weight");
  const int64_t rows = static_cast<int64_t>(x.size()) / in, out = static_cast<int64_t>(weight.size()) / in;
  Values dx(x.size()), dweight(weight.size()), dbias(static_cast<size_t>(out));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < out; ++o) {
      const double d = dy[at(r, out, o)];
      dbias[static_cast<size_t>(o)] += d;
      for (int64_t i = 0; i < in; ++i) {
        dweight[at(o, in, i)] += d * x[at(r, in, i)];
        dx[at(r, in, i)] += d * weight[at(o, in, i)];
      }
    }
  gradients[name + ".weight"] = dweight;
  if (parameters.contains(name + ".bias")) gradients[name + ".bias"] = dbias;
  return dx;
}

// Rotates the pairs (i, i + H/2) of every head by the position's angles; sign -1 turns back (the transpose).
Values rotate(const AttentionTwin& twin, const Values& x_BTNH, double sign) {
  const int64_t half = twin.H / 2;
  Values y(x_BTNH.size());
  for (int64_t row = 0; row < twin.B * twin.T; ++row)
    for (int64_t n = 0; n < twin.N; ++n)
      for (int64_t i = 0; i < half; ++i) {
        const double c = twin.cos_BTH[at(row, twin.H, i)], s = sign * twin.sin_BTH[at(row, twin.H, i)];
        const size_t first = at(row * twin.N + n, twin.H, i), second = first + static_cast<size_t>(half);
        y[first] = x_BTNH[first] * c - x_BTNH[second] * s;
        y[second] = x_BTNH[second] * c + x_BTNH[first] * s;
      }
  return y;
}

// Where number `i` of head n of one token stands among the G heads.
size_t shared(const AttentionTwin& twin, int64_t row, int64_t n, int64_t i) {
  return at(row * twin.G + n * twin.G / twin.N, twin.H, i);
}

// Each query head's own keys or values, [B, T, N, H].
Values expand(const AttentionTwin& twin, const std::string& up, const Values& latent) {
  if (twin.parameters.contains(up + ".weight")) return linear(twin.parameters, up, latent, twin.R);
  Values heads(static_cast<size_t>(twin.B * twin.T * twin.N * twin.H));
  for (int64_t row = 0; row < twin.B * twin.T; ++row)
    for (int64_t n = 0; n < twin.N; ++n)
      for (int64_t i = 0; i < twin.H; ++i)
        heads[at(row * twin.N + n, twin.H, i)] = latent[shared(twin, row, n, i)];
  return heads;
}

Values expand_backward(const AttentionTwin& twin, const std::string& up, const Values& latent,
                       const Values& dheads, NamedValues& gradients) {
  if (twin.parameters.contains(up + ".weight"))
    return linear_backward(twin.parameters, up, latent, twin.R, dheads, gradients);
  Values dlatent(latent.size());
  for (int64_t row = 0; row < twin.B * twin.T; ++row)
    for (int64_t n = 0; n < twin.N; ++n)
      for (int64_t i = 0; i < twin.H; ++i)
        dlatent[shared(twin, row, n, i)] += dheads[at(row * twin.N + n, twin.H, i)];
  return dlatent;
}

struct Heads {
  Values q, k, v;  // each [B, T, N, H]
};

double dot(const AttentionTwin& twin, const Values& a, int64_t row_a, const Values& b, int64_t row_b,
           int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < twin.H; ++i)
    sum += a[at(row_a * twin.N + n, twin.H, i)] * b[at(row_b * twin.N + n, twin.H, i)];
  return sum;
}

void add(const AttentionTwin& twin, Values& to, int64_t row_to, double factor, const Values& from,
         int64_t row_from, int64_t n) {
  for (int64_t i = 0; i < twin.H; ++i)
    to[at(row_to * twin.N + n, twin.H, i)] += factor * from[at(row_from * twin.N + n, twin.H, i)];
}

// p[s] of one query: softmax over the tokens that it may see, zero elsewhere.
Values weights(const AttentionTwin& twin, const Heads& heads, int64_t b, int64_t t, int64_t n) {
  Values p(static_cast<size_t>(twin.T), 0.0);
  double total = 0;
  for (int64_t s = 0; s < twin.T; ++s) {
    if (!twin.mask_BTT[at(b * twin.T + t, twin.T, s)]) continue;
    const double score = dot(twin, heads.q, b * twin.T + t, heads.k, b * twin.T + s, n);
    total += p[static_cast<size_t>(s)] = std::exp(score / std::sqrt(static_cast<double>(twin.H)));
  }
  for (double& weight : p) weight /= total;
  return p;
}

Values attend(const AttentionTwin& twin, const Heads& heads) {
  Values out(heads.q.size());
  for (int64_t b = 0; b < twin.B; ++b)
    for (int64_t n = 0; n < twin.N; ++n)
      for (int64_t t = 0; t < twin.T; ++t) {
        const Values p = weights(twin, heads, b, t, n);
        for (int64_t s = 0; s < twin.T; ++s)
          add(twin, out, b * twin.T + t, p[static_cast<size_t>(s)], heads.v, b * twin.T + s, n);
      }
  return out;
}

// dv[s] = Σ p dout, dscore[s] = p (dp - Σ p dp) with dp[s] = dout · v[s]; then through score = q · k / √H.
Heads attend_backward(const AttentionTwin& twin, const Heads& heads, const Values& dout) {
  Heads d{Values(dout.size()), Values(dout.size()), Values(dout.size())};
  for (int64_t b = 0; b < twin.B; ++b)
    for (int64_t n = 0; n < twin.N; ++n)
      for (int64_t t = 0; t < twin.T; ++t) {
        const int64_t query = b * twin.T + t, start = b * twin.T;
        const Values p = weights(twin, heads, b, t, n);
        double mean = 0;
        for (int64_t s = 0; s < twin.T; ++s)
          mean += p[static_cast<size_t>(s)] * dot(twin, dout, query, heads.v, start + s, n);
        for (int64_t s = 0; s < twin.T; ++s) {
          const double weight = p[static_cast<size_t>(s)];
          const double dscore = weight * (dot(twin, dout, query, heads.v, start + s, n) - mean) /
                                std::sqrt(static_cast<double>(twin.H));
          add(twin, d.v, start + s, weight, dout, query, n);
          add(twin, d.q, query, dscore, heads.k, start + s, n);
          add(twin, d.k, start + s, dscore, heads.q, query, n);
        }
      }
  return d;
}

}  // namespace

TwinResult run(const AttentionTwin& twin, const Values& upstream_BTD) {
  const NamedValues& parameters = twin.parameters;
  const Values latent_k = linear(parameters, "k_proj", twin.x_BTD, twin.D);
  const Values latent_v = linear(parameters, "v_proj", twin.x_BTD, twin.D);
  const Heads heads{.q = rotate(twin, linear(parameters, "q_proj", twin.x_BTD, twin.D), 1),
                    .k = rotate(twin, expand(twin, "k_up_proj", latent_k), 1),
                    .v = expand(twin, "v_up_proj", latent_v)};
  const Values context = attend(twin, heads);
  TwinResult result{.y_BTD = linear(parameters, "o_proj", context, twin.N * twin.H), .gradients = {}};

  NamedValues& gradients = result.gradients;
  const Values dcontext =
      linear_backward(parameters, "o_proj", context, twin.N * twin.H, upstream_BTD, gradients);
  const Heads d = attend_backward(twin, heads, dcontext);
  const Values dlatent_k = expand_backward(twin, "k_up_proj", latent_k, rotate(twin, d.k, -1), gradients);
  const Values dlatent_v = expand_backward(twin, "v_up_proj", latent_v, d.v, gradients);
  Values dx(twin.x_BTD.size());
  const auto add_input = [&](const std::string& name, const Values& dy) {
    const Values part = linear_backward(parameters, name, twin.x_BTD, twin.D, dy, gradients);
    for (size_t i = 0; i < dx.size(); ++i) dx[i] += part[i];
  };
  add_input("q_proj", rotate(twin, d.q, -1));
  add_input("k_proj", dlatent_k);
  add_input("v_proj", dlatent_v);
  gradients["x"] = dx;
  return result;
}

}  // namespace attnlab::reference
