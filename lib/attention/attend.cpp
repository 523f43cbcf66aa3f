#include "attention/attend.h"

#include <ATen/Context.h>

#include <cmath>

#include "attention/attend_capped.h"
#include "attention/shapes_repeat.h"
#include "core/errors.h"
#include "kernels/causal_attention.h"
#include "kernels/fused.h"
#include "kernels/planned_attention.h"

namespace attnlab {

torch::Tensor split_heads(const torch::Tensor& x_BTW, int64_t heads) {
  return x_BTW.view({x_BTW.size(0), x_BTW.size(1), heads, -1}).transpose(1, 2);
}

torch::Tensor merge_heads(const torch::Tensor& x_BNTH) { return x_BNTH.transpose(1, 2).flatten(2); }

double score_scale(const ScoreForm& form, int64_t head_dim) {
  return form.scale > 0 ? form.scale : 1.0 / std::sqrt(static_cast<double>(head_dim));
}

namespace {

// A mask for each query head, or one for all, from one for each KV head.
torch::Tensor for_query_heads(const torch::Tensor& mask_BhTS, int64_t N) {
  const int64_t h = mask_BhTS.defined() && mask_BhTS.dim() == 4 ? mask_BhTS.size(1) : 1;
  return h > 1 && h < N ? mask_BhTS.repeat_interleave(N / h, 1) : mask_BhTS;
}

using OptionalTensor = std::optional<torch::Tensor>;

// One new token: the query heads of a KV head stand where its T queries would, so that the cache is read once
// per KV head. On a CPU, 2.2 times as fast as enable_gqa and 5 times as fast as repeating heads (16 rows of 256
// tokens, 8/2 heads of 32).
torch::Tensor by_kv_head(const torch::Tensor& q_BN1H, int64_t G) {
  return q_BN1H.reshape({q_BN1H.size(0), G, q_BN1H.size(1) / G, q_BN1H.size(3)});
}

bool is_half(const torch::Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf;
}

// Whether the kernel of our own takes one query, for which no length is new. By bench_attention (one H200,
// bf16, n = 7 query heads to a KV head): without a mask torch's flash kernel is up to 7 times as fast, and
// takes any length. With one it is between 12 + W / 900,000 µs of our own, W = B·G·n·S·H numbers being
// multiplied without matrix units, and 7 + 0.045 S (1 + B·G / 400) µs of the memory-efficient kernel, which
// gives a KV head to one block.
bool prefers_own_kernel(const torch::Tensor& q_BGnH, const torch::Tensor& v_BGSH, bool masked, bool capped) {
  const int64_t B = q_BGnH.size(0), G = q_BGnH.size(1), n = q_BGnH.size(2), H = q_BGnH.size(3);
  const int64_t S = v_BGSH.size(2);
  if (n == 1 || capped) return true;  // the general path alone has a cap
  if (is_half(q_BGnH) && !masked && v_BGSH.size(3) == H) return false;
  const auto work = static_cast<double>(B * G * n * S * H);
  const double blocks = 1 + static_cast<double>(B * G) / 400;
  return 5 + work / 900000 < 0.045 * static_cast<double>(S) * blocks;
}

// cuDNN's kernel reads a cache once for all heads of a KV head, split over blocks, with and without a mask:
// twice as fast as what else there is for 256 tokens, and 5 times for 16,384 (bench_attention).
bool takes_plan(const torch::Tensor& q_BN1H, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                const torch::Tensor& mask, const ScoreForm& form) {
  constexpr int64_t pack = 8, widest = 128;
  const int64_t H = q_BN1H.size(3);
  return ShapesRepeat::active() && has_cudnn_attention(q_BN1H.device()) && is_half(q_BN1H) &&
         form.softcap <= 0 && !torch::GradMode::is_enabled() && q_BN1H.size(1) != k_BGSH.size(1) &&
         H % pack == 0 && H <= widest && v_BGSH.size(3) == H &&
         (!mask.defined() || (mask.dim() == 4 && mask.size(1) == 1));
}

bool has_kernel_for_one(const torch::Tensor& q_BGnH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                        const torch::Tensor& mask, bool capped) {
  const bool fits =
      !mask.defined() || (mask.dim() == 4 && (mask.size(1) == 1 || mask.size(1) == k_BGSH.size(1)));
  return fits && fits_single_query(q_BGnH, k_BGSH, v_BGSH) &&
         prefers_own_kernel(q_BGnH, v_BGSH, mask.defined(), capped);
}

// cuDNN's attention, which torch prefers on Hopper, makes a plan for each new shape: 42 to 63 ms (torch 2.11).
// That pays for shapes that come again and again, rows of a training batch, whose lengths go in steps.
class WithoutPlans {
 public:
  explicit WithoutPlans(bool off) : before_(at::globalContext().userEnabledCuDNNSDP()) {
    if (off) at::globalContext().setSDPUseCuDNN(false);
  }
  ~WithoutPlans() { at::globalContext().setSDPUseCuDNN(before_); }
  WithoutPlans(const WithoutPlans&) = delete;
  WithoutPlans& operator=(const WithoutPlans&) = delete;

 private:
  bool before_;
};

torch::Tensor attend_on_gpu(const torch::Tensor& q_BNTH, torch::Tensor k_BGSH, torch::Tensor v_BGSH,
                            const OptionalTensor& mask, bool causal, double scale) {
  constexpr int64_t step = 64;
  const int64_t N = q_BNTH.size(1), G = k_BGSH.size(1), T = q_BNTH.size(2), S = k_BGSH.size(2);
  const bool plan = T == S && T % step == 0;
  const WithoutPlans without(!plan);
  // The kernel that takes masks and float32 wants as many KV heads as query heads; for what no kernel takes
  // scores of all T × S pairs would stand in memory.
  const bool repeat = G != N && (q_BNTH.scalar_type() == torch::kFloat32 || (mask && !plan));
  if (repeat) k_BGSH = k_BGSH.repeat_interleave(N / G, 1), v_BGSH = v_BGSH.repeat_interleave(N / G, 1);
  return at::scaled_dot_product_attention(q_BNTH, k_BGSH, v_BGSH, mask, 0.0, causal, scale, G != N && !repeat);
}

}  // namespace

// Many queries: enable_gqa reads each KV head once for its N / G query heads. Against repeated heads, forward
// and backward take 2/3 of the time on an H100 (forward alone 1/2, with 1/3 of the memory) and 9/10 on a CPU.
torch::Tensor attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                     const torch::Tensor& mask_B1TS, const ScoreForm& form, const Reach& reach) {
  const int64_t T = q_BNTH.size(2), S = k_BGSH.size(2), N = q_BNTH.size(1), G = k_BGSH.size(1);
  const double scale = score_scale(form, q_BNTH.size(3));
  const auto merged = [](const torch::Tensor& out_BGnH) { return out_BGnH.flatten(1, 2).unsqueeze(2); };
  const auto optional = [](const torch::Tensor& mask) {
    return mask.defined() ? OptionalTensor(mask) : std::nullopt;
  };
  if (T == 1 && takes_plan(q_BNTH, k_BGSH, v_BGSH, mask_B1TS, form))
    return at::scaled_dot_product_attention(q_BNTH, k_BGSH, v_BGSH, optional(mask_B1TS), 0.0, false, scale,
                                            /*enable_gqa=*/true);
  const bool one = T == 1 && (N != G || q_BNTH.is_cuda());
  const auto q_BGnH = one ? by_kv_head(q_BNTH, G) : torch::Tensor();
  if (one && has_kernel_for_one(q_BGnH, k_BGSH, v_BGSH, mask_B1TS, form.softcap > 0))
    return merged(attend_single_query(q_BGnH, k_BGSH, v_BGSH, mask_B1TS, scale, form.softcap));
  if (form.softcap > 0) return attend_capped(q_BNTH, k_BGSH, v_BGSH, mask_B1TS, form, reach);
  if (one && N != G) {
    const WithoutPlans without(q_BNTH.is_cuda());
    return merged(
        at::scaled_dot_product_attention(q_BGnH, k_BGSH, v_BGSH, optional(mask_B1TS), 0.0, false, scale));
  }
  const auto mask = optional(for_query_heads(mask_B1TS, N));
  const bool causal = !mask && T > 1;
  ATTNLAB_CHECK(!causal || T == S);
  if (q_BNTH.is_cuda()) return attend_on_gpu(q_BNTH, k_BGSH, v_BGSH, mask, causal, scale);
  if (causal && fits_causal_attention(q_BNTH, k_BGSH, v_BGSH))
    return causal_attention(q_BNTH, k_BGSH, v_BGSH, scale);
  return at::scaled_dot_product_attention(q_BNTH, k_BGSH, v_BGSH, mask, 0.0, causal, scale, N != G);
}

torch::Tensor attention_weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                const torch::Tensor& mask_B1TS, const ScoreForm& form) {
  const int64_t N = q_BNTH.size(1), T = q_BNTH.size(2), S = k_BGSH.size(2), G = k_BGSH.size(1);
  // The queries of a KV head's N / G heads as the rows of one product: the keys are not copied.
  const auto q_BGnH = (q_BNTH * score_scale(form, q_BNTH.size(3))).unflatten(1, {G, N / G}).flatten(2, 3);
  auto scores = torch::matmul(q_BGnH, k_BGSH.transpose(-2, -1)).unflatten(2, {N / G, T}).flatten(1, 2);
  if (form.softcap > 0) scores = form.softcap * torch::tanh(scores / form.softcap);
  auto allowed = for_query_heads(mask_B1TS, N);
  if (!allowed.defined() && T > 1)
    allowed = torch::ones({T, S}, scores.options().dtype(torch::kBool)).tril(S - T);
  if (allowed.defined()) scores = scores.masked_fill(allowed.logical_not(), -INFINITY);
  return torch::softmax(scores, -1);
}

}  // namespace attnlab
