// The naive twin of the attention variants: plain loops over std::vector<double>, forward and gradients,
// written from the equations and sharing no code with lib/attention.
//
//   q = W_Q x + b_Q,   c_K = W_K x + b_K,   c_V = W_V x + b_V
//   GQA: head n uses head ⌊n G / N⌋ of c_K and c_V;  latent: K = U_K c_K, V = U_V c_V
//   y = W_O softmax(RoPE(q) RoPE(K)ᵀ / √H) V + b_O
//
// Shapes: B batch, T tokens, D d_model, N query heads, G KV heads, H head_dim, R numbers in c_K and in c_V.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace attnlab::reference {

using Values = std::vector<double>;  // row-major
using NamedValues = std::map<std::string, Values>;

struct AttentionTwin {
  int64_t B = 0, T = 0, D = 0, N = 0, G = 0, H = 0, R = 0;
  NamedValues parameters;  // by the variant's names; absent biases are zero, absent up-projections mean GQA
  Values x_BTD;
  Values cos_BTH, sin_BTH;
  std::vector<bool> mask_BTT;  // true where a query may look
};

struct TwinResult {
  Values y_BTD;
  NamedValues gradients;  // of Σ upstream · y, by parameter name and for "x"
};

TwinResult run(const AttentionTwin& twin, const Values& upstream_BTD);

}  // namespace attnlab::reference
