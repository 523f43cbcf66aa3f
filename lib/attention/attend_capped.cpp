#include "attention/attend_capped.h"

#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <cmath>

#include "attention/product_type.h"
#include "attention/wide_product.h"
#include "core/errors.h"
#include "kernels/capped_softmax.h"

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// G KV heads with n query heads each, b = B · G of them with a product each; t queries of a block stand in the
// columns from `column` on, K keys are those from `first` on.
struct Block {
  int64_t begin, t, column, first, K;
};

struct Capped {
  double scale, cap;
  Reach reach;
  int64_t block;

  std::vector<Block> blocks(int64_t T, int64_t S) const {
    std::vector<Block> out;
    for (int64_t begin = 0; begin < T; begin += block) {
      const int64_t t = std::min(block, T - begin), column = S - T + begin;
      const int64_t first = reach.window > 0 ? std::max<int64_t>(0, column - reach.window + 1) : 0;
      const int64_t end = reach.causal ? column + t : S;
      out.push_back({begin, t, column, first, end - first});
    }
    return out;
  }
};

// A block's queries of the n heads of each KV head: [B, G·n, T, H] → [b, n·t, H].
Tensor queries(const Tensor& x_BNTH, const Block& at, int64_t G) {
  return x_BNTH.narrow(2, at.begin, at.t).unflatten(1, {G, -1}).flatten(2, 3).flatten(0, 1);
}

// [b, n·t, H] → [B, G·n, t, H].
Tensor by_heads(const Tensor& x_bRH, int64_t B, int64_t t) {
  return x_bRH.unflatten(1, {-1, t}).unflatten(0, {B, -1}).flatten(1, 2);
}

// What of the last keys may not be looked at, to be broadcast over [B, G, n, t, those]; undefined: nothing.
Tensor hidden_keys(const Tensor& mask, const Block& at, int64_t T, int64_t G, const Tensor& like) {
  if (!mask.defined()) {
    if (T == 1) return {};
    return torch::ones({at.t, at.t}, like.options().dtype(torch::kBool)).triu(1);
  }
  const auto part = mask.narrow(-2, at.begin, at.t).narrow(-1, at.first, at.K).logical_not();
  if (part.dim() < 4) return part;
  return part.size(1) == 1 ? part.unsqueeze(2) : part.unflatten(1, {G, -1});
}

CappedScores scores_of(const Tensor& q_bRH, const Tensor& k_bKH, const Tensor& hidden, const Capped& of,
                       int64_t B, int64_t t) {
  const auto scores_bRK = wide_product(q_bRH, k_bKH.transpose(1, 2), of.scale / of.cap);
  const auto wide = c10::promoteTypes(scores_bRK.scalar_type(), torch::kFloat32);
  return {.scores_bRK = scores_bRK.to(wide), .cap = of.cap, .B = B, .t = t, .hidden = hidden};
}

Tensor forward_of(const Tensor& q_BNTH, const Tensor& k_BGSH, const Tensor& v_BGSH, const Tensor& mask,
                  const Capped& of) {
  const int64_t B = q_BNTH.size(0), T = q_BNTH.size(2), G = k_BGSH.size(1), S = k_BGSH.size(2);
  const auto k_bSH = k_BGSH.flatten(0, 1), v_bSH = v_BGSH.flatten(0, 1);
  std::vector<Tensor> out;
  for (const Block& at : of.blocks(T, S)) {
    const auto hidden = hidden_keys(mask, at, T, G, q_BNTH);
    const auto q_bRH = queries(q_BNTH, at, G), k_bKH = k_bSH.narrow(1, at.first, at.K);
    const auto weights_bRK = capped_weights(scores_of(q_bRH, k_bKH, hidden, of, B, at.t), v_bSH.scalar_type());
    out.push_back(by_heads(torch::bmm(weights_bRK, v_bSH.narrow(1, at.first, at.K)), B, at.t));
  }
  return out.size() == 1 ? out[0] : torch::cat(out, 2);
}

// Of o = p v, p = softmax(c u), u = tanh(scale q·k / c), with upstream do:
//   dv = pᵀ do,   ds = p ∘ (do vᵀ - Σ p ∘ do vᵀ) ∘ (1 - u²),   dq = scale ds k,   dk = scale dsᵀ q.
variable_list backward_of(const Tensor& q_BNTH, const Tensor& k_BGSH, const Tensor& v_BGSH, const Tensor& mask,
                          const Tensor& do_BNTH, const Capped& of) {
  const int64_t B = q_BNTH.size(0), T = q_BNTH.size(2), G = k_BGSH.size(1), S = k_BGSH.size(2);
  const auto k_bSH = k_BGSH.flatten(0, 1), v_bSH = v_BGSH.flatten(0, 1);
  const auto dtype = q_BNTH.scalar_type();
  const auto sums = [](const Tensor& like) {
    return torch::zeros(like.sizes(),
                        like.options().dtype(c10::promoteTypes(like.scalar_type(), torch::kFloat32)));
  };
  const auto dk_bSH = sums(k_bSH), dv_bSH = sums(v_bSH);
  std::vector<Tensor> dq;
  for (const Block& at : of.blocks(T, S)) {
    const auto hidden = hidden_keys(mask, at, T, G, q_BNTH);
    const auto q_bRH = queries(q_BNTH, at, G), do_bRH = queries(do_BNTH, at, G);
    const auto k_bKH = k_bSH.narrow(1, at.first, at.K), v_bKH = v_bSH.narrow(1, at.first, at.K);
    const auto scores = scores_of(q_bRH, k_bKH, hidden, of, B, at.t);
    const auto dweights = wide_product(do_bRH, v_bKH.transpose(1, 2)).to(scores.scores_bRK.scalar_type());
    const auto [weights_bRK, ds_bRK] = capped_gradients(scores, dweights, dtype);
    dv_bSH.narrow(1, at.first, at.K).add_(wide_product(weights_bRK.transpose(1, 2), do_bRH));
    dq.push_back(by_heads(wide_product(ds_bRK, k_bKH, of.scale).to(dtype), B, at.t));
    dk_bSH.narrow(1, at.first, at.K).add_(wide_product(ds_bRK.transpose(1, 2), q_bRH, of.scale));
  }
  return {dq.size() == 1 ? dq[0] : torch::cat(dq, 2), dk_bSH.to(dtype).view(k_BGSH.sizes()),
          dv_bSH.to(v_BGSH.scalar_type()).view(v_BGSH.sizes())};
}

class CappedAttention : public torch::autograd::Function<CappedAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q_BNTH, const Tensor& k_BGSH,
                        const Tensor& v_BGSH, const std::optional<Tensor>& given_mask, double scale, double cap,
                        bool causal, int64_t window, int64_t block) {
    const Tensor mask = given_mask.value_or(Tensor());
    context->save_for_backward({q_BNTH, k_BGSH, v_BGSH, mask});
    context->saved_data["numbers"] = std::vector<double>{scale, cap};
    context->saved_data["sizes"] = std::vector<int64_t>{causal, window, block};
    return forward_of(q_BNTH, k_BGSH, v_BGSH, mask, {scale, cap, {causal, window}, block});
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto numbers = context->saved_data["numbers"].toDoubleVector();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    variable_list out =
        backward_of(saved[0], saved[1], saved[2], saved[3], upstream[0],
                    {numbers[0], numbers[1], {.causal = sizes[0] != 0, .window = sizes[1]}, sizes[2]});
    out.resize(9);
    return out;
  }
};

}  // namespace

Tensor attend_capped(const Tensor& q_BNTH, const Tensor& k_BGSH, const Tensor& v_BGSH, const Tensor& mask_B1TS,
                     const ScoreForm& form, const Reach& reach, int64_t block) {
  ATTNLAB_CHECK(form.softcap > 0 && block > 0);
  const int64_t T = q_BNTH.size(2);
  const bool causal = reach.causal || (!mask_B1TS.defined() && T > 1);
  const int64_t window = causal && mask_B1TS.defined() ? reach.window : 0;  // where no mask says otherwise: all
  const Capped of{score_scale(form, q_BNTH.size(3)), form.softcap, {causal, window}, block};
  // Autocast knows products by their names and not this one.
  const auto as_product = [](const Tensor& x) { return x.to(product_type(x)); };
  const auto q = as_product(q_BNTH), k = as_product(k_BGSH), v = as_product(v_BGSH);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  if (!torch::GradMode::is_enabled() || !(q.requires_grad() || k.requires_grad() || v.requires_grad()))
    return forward_of(q, k, v, mask_B1TS, of);
  const auto mask = mask_B1TS.defined() ? std::optional(mask_B1TS) : std::nullopt;
  return CappedAttention::apply(q, k, v, mask, of.scale, of.cap, causal, window, block);
}

}  // namespace attnlab
