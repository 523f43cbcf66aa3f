// silu(gate) ∘ up, and the cross-entropy of a row of logits, in one pass each.
#include "kernels/vectors/elementwise.h"

#include "kernels/vectors/wide.h"

namespace attnlab::vectors::ATTNLAB_VECTORS {
namespace {

// 1 / (1 + e^-x)
Wide sigmoid_of(Wide x) {
  const Wide most = all(87), turned = -x;
  return 1.f / (1.f + exp_of(turned > most ? most : turned));
}

struct GateGradients {
  Wide gate, up;
};
// d (x σ(x)) / dx = σ(x) (1 + x (1 - σ(x)))
GateGradients gradients_of(Wide gate, Wide up, Wide dout) {
  const Wide sigmoid = sigmoid_of(gate);
  return {dout * up * sigmoid * (1.f + gate * (1.f - sigmoid)), dout * gate * sigmoid};
}

}  // namespace

void gated_silu(const float* gate, const float* up, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Wide x = load(gate + i);
    store(out + i, x * sigmoid_of(x) * load(up + i));
  }
  if (i == n) return;
  const Wide x = load_last(gate + i, n - i, 0);
  store_last(out + i, n - i, x * sigmoid_of(x) * load_last(up + i, n - i, 0));
}

void gated_silu_backward(const float* gate, const float* up, const float* dout, int64_t n, float* dgate,
                         float* dup) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto gradients = gradients_of(load(gate + i), load(up + i), load(dout + i));
    store(dgate + i, gradients.gate);
    store(dup + i, gradients.up);
  }
  if (i == n) return;
  const int64_t last = n - i;
  const auto gradients =
      gradients_of(load_last(gate + i, last, 0), load_last(up + i, last, 0), load_last(dout + i, last, 0));
  store_last(dgate + i, last, gradients.gate);
  store_last(dup + i, last, gradients.up);
}

// With z_m the greatest logit: log Σ e^(z - z_m) - (z_target - z_m), and e^(z - z_m) / Σ - [target].
float cross_entropy(float* logits, int64_t n, int64_t target, bool gradient) {
  const float nothing = -__builtin_inff();
  const int64_t whole = n / kLanes * kLanes, last = n - whole;
  Wide greatest = load_last(logits + whole, last, nothing);
  for (int64_t i = 0; i < whole; i += kLanes) greatest = greater_of(greatest, load(logits + i));
  const float most = greatest_of(greatest), chosen = logits[target] - most;
  Wide sums = exp_of(load_last(logits + whole, last, nothing) - most);
  store_last(logits + whole, last, sums);
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Wide share = exp_of(load(logits + i) - most);
    store(logits + i, share);
    sums += share;
  }
  const float sum = sum_of(sums);
  if (gradient) {
    for (int64_t i = 0; i < whole; i += kLanes) store(logits + i, load(logits + i) / sum);
    for (int64_t i = whole; i < n; ++i) logits[i] /= sum;
    logits[target] -= 1;
  }
  return __builtin_logf(sum) - chosen;
}

}  // namespace attnlab::vectors::ATTNLAB_VECTORS
