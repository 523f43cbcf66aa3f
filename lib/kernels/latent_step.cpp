#include "kernels/latent_step.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {
namespace {

using torch::Tensor;

// x [B, n, r]; what turns leaves as halves.
Tensor turned_in_parts(const Tensor& x_BNr, const LatentStep& step) {
  const int64_t half = x_BNr.size(2) / 2;
  const bool halves = step.pairs == RotaryPairs::halves;
  const auto pairs = halves ? x_BNr.unflatten(2, {2, half}).transpose(2, 3) : x_BNr.unflatten(2, {half, 2});
  const auto cos = step.cos_Br.narrow(1, 0, half).unsqueeze(1),
             sin = step.sin_Br.narrow(1, 0, half).unsqueeze(1);
  const auto x1 = pairs.select(3, 0), x2 = pairs.select(3, 1);
  return torch::cat({x1 * cos - x2 * sin, x2 * cos + x1 * sin}, 2).to(x_BNr.scalar_type());
}

void step_in_parts(const LatentStep& step, Tensor& q_out_BNr, Tensor& out_PW, const Tensor& rows_B) {
  const int64_t r = step.q_rope_BNr.size(2), R = step.kv_BW.size(1) - r;
  q_out_BNr.copy_(turned_in_parts(step.q_rope_BNr, step));
  const auto c_BR = step.kv_BW.narrow(1, 0, R);
  const auto latent_BR =
      step.norm_weight_R.defined() ? add_and_norm(c_BR, {}, step.norm_weight_R, step.eps).normed : c_BR;
  const auto rope_Br = turned_in_parts(step.kv_BW.narrow(1, R, r).unsqueeze(1), step).squeeze(1);
  const auto token_BW = torch::cat({latent_BR, rope_Br}, 1);
  if (rows_B.defined())
    out_PW.index_copy_(0, rows_B, token_BW);
  else
    out_PW.copy_(token_BW);
}

void check_sizes(const LatentStep& step, const Tensor& q_out_BNr, const Tensor& out_PW, const Tensor& rows_B) {
  const int64_t B = step.q_rope_BNr.size(0), r = step.q_rope_BNr.size(2), W = step.kv_BW.size(1);
  TORCH_CHECK(!torch::GradMode::is_enabled() && r % 2 == 0 && W > r && step.kv_BW.size(0) == B &&
              q_out_BNr.sizes() == step.q_rope_BNr.sizes() && out_PW.dim() == 2 && out_PW.size(1) == W);
  TORCH_CHECK(step.cos_Br.sizes() == step.sin_Br.sizes() && step.cos_Br.size(1) == r &&
              (step.cos_Br.size(0) == B || step.cos_Br.size(0) == 1));
  TORCH_CHECK(!step.norm_weight_R.defined() || step.norm_weight_R.numel() == W - r);
  TORCH_CHECK(rows_B.defined() ? rows_B.scalar_type() == torch::kInt64 && rows_B.numel() == B
                               : out_PW.size(0) == B);
}

#ifdef ATTNLAB_CUDA
void step_on_gpu(const LatentStep& step, Tensor& q_out_BNr, Tensor& out_PW, const Tensor& rows_B) {
  const Tensor &q = step.q_rope_BNr, &kv = step.kv_BW, &cos = step.cos_Br, &sin = step.sin_Br;
  TORCH_CHECK(q_out_BNr.stride(2) == 1 && out_PW.stride(1) == 1 && q_out_BNr.scalar_type() == q.scalar_type() &&
              out_PW.scalar_type() == q.scalar_type() && q_out_BNr.is_cuda() && out_PW.is_cuda() &&
              (!rows_B.defined() || (rows_B.is_contiguous() && rows_B.is_cuda())));
  const cuda::LatentStepLayout layout{
      .B = q.size(0),
      .heads = q.size(1),
      .rank = static_cast<int>(kv.size(1) - q.size(2)),
      .rope = static_cast<int>(q.size(2)),
      .q_b = q.stride(0),
      .q_n = q.stride(1),
      .kv_b = kv.stride(0),
      .q_out_b = q_out_BNr.stride(0),
      .q_out_n = q_out_BNr.stride(1),
      .out_b = out_PW.stride(0),
      .table_b = cos.size(0) == 1 ? 0 : cos.stride(0),
      .eps = static_cast<float>(step.eps),
      .in_pairs = step.pairs == RotaryPairs::neighbours,
      .out_rows = rows_B.defined() ? rows_B.const_data_ptr<int64_t>() : nullptr};
  const cuda::LatentStepPointers at{
      q.const_data_ptr(),
      kv.const_data_ptr(),
      step.norm_weight_R.defined() ? step.norm_weight_R.const_data_ptr() : nullptr,
      cos.const_data_ptr(),
      sin.const_data_ptr(),
      q_out_BNr.data_ptr(),
      out_PW.data_ptr()};
  const c10::cuda::CUDAGuard guard(q.device());
  C10_CUDA_CHECK(cuda::latent_step(format_of(q), format_of(cos), layout, at, stream_of(q)));
}
#endif

bool has_kernel(const LatentStep& step) {
  const Tensor &q = step.q_rope_BNr, &kv = step.kv_BW, &weight = step.norm_weight_R;
  return has_kernels(q) && has_kernels(step.cos_Br) && q.stride(2) == 1 && kv.stride(1) == 1 &&
         kv.scalar_type() == q.scalar_type() && kv.is_cuda() &&
         step.cos_Br.scalar_type() == step.sin_Br.scalar_type() && step.cos_Br.stride(1) == 1 &&
         step.cos_Br.strides() == step.sin_Br.strides() && q.size(2) % 2 == 0 &&
         (!weight.defined() || (weight.is_contiguous() && weight.scalar_type() == q.scalar_type()));
}

}  // namespace

bool fits_latent_step(const LatentStep& step) {
  return !torch::GradMode::is_enabled() && step.cos_Br.size(1) == step.q_rope_BNr.size(2) &&
         (LatentStepsInParts::active() || has_kernel(step));
}

void take_latent_step(const LatentStep& step, Tensor q_out_BNr, Tensor out_PW, const Tensor& rows_B) {
  check_sizes(step, q_out_BNr, out_PW, rows_B);
#ifdef ATTNLAB_CUDA
  if (has_kernel(step)) return step_on_gpu(step, q_out_BNr, out_PW, rows_B);
#endif
  step_in_parts(step, q_out_BNr, out_PW, rows_B);
}

}  // namespace attnlab
