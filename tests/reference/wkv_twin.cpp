#include "../reference/wkv_twin.h"

#include <algorithm>
#include <vector>

namespace attnlab::test {
namespace {

using torch::Tensor;

// One token: o of the state before it, which becomes the one behind it.
Tensor token_step(const WkvScan& scan, int64_t t, Tensor& S_BNKV) {
  const auto of = [&](const Tensor& x_BNTx) {
    return x_BNTx.defined() ? x_BNTx.select(2, t) : torch::zeros_like(scan.w_BNTK.select(2, t));
  };
  const auto w_BNK1 = of(scan.w_BNTK).exp().unsqueeze(-1);
  const auto kv = torch::einsum("bnk,bnv->bnkv", {of(scan.k_BNTK), of(scan.v_BNTV)});
  const auto read = [&](const Tensor& state) {
    return torch::einsum("bnk,bnkv->bnv", {of(scan.r_BNTK), state});
  };
  if (scan.a_BNTK.defined()) {
    const auto u = torch::einsum("bnk,bnkv->bnv", {of(scan.a_BNTK), S_BNKV});
    S_BNKV = w_BNK1 * S_BNKV + torch::einsum("bnk,bnv->bnkv", {of(scan.b_BNTK), u}) + kv;
    return read(S_BNKV);
  }
  const auto o = read(S_BNKV + scan.bonus_NK.unsqueeze(-1) * kv);
  S_BNKV = w_BNK1 * S_BNKV + kv;
  return o;
}

}  // namespace

WkvScanned wkv_twin(const WkvScan& scan) {
  const auto& w = scan.w_BNTK;
  const int64_t T = w.size(2);
  const auto none = torch::zeros({w.size(0), w.size(1), w.size(3), w.size(3)}, w.options());
  std::vector<Tensor> outputs, ends;
  for (int64_t part = 0; part < scan.parts; ++part) {
    Tensor S_BNKV = scan.first_BNpKV.defined() ? scan.first_BNpKV.select(2, part) : none;
    for (int64_t t = part * scan.length; t < std::min(T, (part + 1) * scan.length); ++t) {
      if (scan.begins_BT.defined())
        S_BNKV = S_BNKV.masked_fill(scan.begins_BT.select(1, t).view({-1, 1, 1, 1}), 0);
      outputs.push_back(token_step(scan, t, S_BNKV));
    }
    ends.push_back(S_BNKV);
  }
  return {.o_BNTV = scan.wants_o ? torch::stack(outputs, 2) : Tensor(), .last_BNpKV = torch::stack(ends, 2)};
}

}  // namespace attnlab::test
