#include "../reference/wkv_twin.h"

#include <algorithm>
#include <vector>

namespace attnlab::test {
namespace {

using torch::Tensor;
using Tokens = std::vector<Tensor>;  // [B, N, x] each

// By unbind, whose gradient is written once; that of a selected token is a tensor of all tokens.
Tokens tokens_of(const Tensor& x_BNTx, const Tensor& like_BNTx) {
  return (x_BNTx.defined() ? x_BNTx : torch::zeros_like(like_BNTx)).unbind(2);
}

struct TwinInputs {
  Tokens r, w, k, v, a, b;
  Tensor bonus_NK;

  explicit TwinInputs(const WkvScan& scan) : bonus_NK(scan.bonus_NK) {
    const auto of = [&](const Tensor& x) { return tokens_of(x, scan.w_BNTK); };
    r = of(scan.r_BNTK), w = of(scan.w_BNTK), k = of(scan.k_BNTK), v = of(scan.v_BNTV);
    if (scan.a_BNTK.defined()) a = of(scan.a_BNTK), b = of(scan.b_BNTK);
  }
};

// One token: o of the state before it, which becomes the one behind it.
Tensor token_step(const TwinInputs& in, size_t t, Tensor& S_BNKV) {
  const auto w_BNK1 = in.w[t].exp().unsqueeze(-1);
  const auto outer = [](const Tensor& x_BNK, const Tensor& y_BNV) {
    return x_BNK.unsqueeze(-1) * y_BNV.unsqueeze(-2);
  };
  const auto times = [](const Tensor& x_BNK, const Tensor& state_BNKV) {
    return (x_BNK.unsqueeze(-1) * state_BNKV).sum(-2);
  };
  const auto kv = outer(in.k[t], in.v[t]);
  if (!in.a.empty()) {
    S_BNKV = w_BNK1 * S_BNKV + outer(in.b[t], times(in.a[t], S_BNKV)) + kv;
    return times(in.r[t], S_BNKV);
  }
  const auto o = times(in.r[t], S_BNKV + in.bonus_NK.unsqueeze(-1) * kv);
  S_BNKV = w_BNK1 * S_BNKV + kv;
  return o;
}

}  // namespace

WkvScanned wkv_twin(const WkvScan& scan) {
  const auto& w = scan.w_BNTK;
  const int64_t T = w.size(2);
  const auto none = torch::zeros({w.size(0), w.size(1), w.size(3), w.size(3)}, w.options());
  const TwinInputs in(scan);
  std::vector<Tensor> outputs, ends;
  for (int64_t part = 0; part < scan.parts; ++part) {
    Tensor S_BNKV = scan.first_BNpKV.defined() ? scan.first_BNpKV.select(2, part) : none;
    for (int64_t t = part * scan.length; t < std::min(T, (part + 1) * scan.length); ++t) {
      if (scan.begins_BT.defined())
        S_BNKV = S_BNKV.masked_fill(scan.begins_BT.select(1, t).view({-1, 1, 1, 1}), 0);
      outputs.push_back(token_step(in, static_cast<size_t>(t), S_BNKV));
    }
    ends.push_back(S_BNKV);
  }
  return {.o_BNTV = scan.wants_o ? torch::stack(outputs, 2) : Tensor(), .last_BNpKV = torch::stack(ends, 2)};
}

}  // namespace attnlab::test
