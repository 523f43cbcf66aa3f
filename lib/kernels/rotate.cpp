#include "kernels/cpu_kernels.h"
#include "kernels/fused.h"
#include "kernels/side_by_side.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Turning {
  RotaryPairs in, out;
  bool backwards;
};

#ifdef ATTNLAB_CUDA
cuda::RotaryJob rotary_job(const Tensor& x, const Tensor& out, const Tensor& cos, const Turning& turning) {
  return {.layout = {.B = x.size(0),
                     .N = x.size(1),
                     .T = x.size(2),
                     .head_dim = x.size(3),
                     .rotary_dim = cos.size(2),
                     .in = strides_of(x),
                     .out = strides_of(out),
                     .table_b = cos.size(0) == 1 ? 0 : cos.stride(0),
                     .table_t = cos.size(1) == 1 ? 0 : cos.stride(1),
                     .in_pairs = turning.in == RotaryPairs::neighbours,
                     .out_pairs = turning.out == RotaryPairs::neighbours,
                     .backwards = turning.backwards},
          .x = x.const_data_ptr(),
          .out = out.data_ptr()};
}

void turn_on_gpu(const Tensor& x, const Tensor& cos, const Tensor& sin, const Turning& turning,
                 const Tensor& out) {
  const c10::cuda::CUDAGuard guard(x.device());
  C10_CUDA_CHECK(cuda::rotate(format_of(x), format_of(cos), rotary_job(x, out, cos, turning), {},
                              cos.const_data_ptr(), sin.const_data_ptr(), stream_of(x)));
}
#endif

// On a CPU a head's tokens side by side, since strides of all heads make attention's products pack for longer,
// and on the way back a token's heads, as projections left them.
Tensor place_for_turned(const Tensor& x_BNTH, bool backwards) {
  if (x_BNTH.is_cuda()) return torch::empty_like(x_BNTH);
  if (!backwards) return torch::empty(x_BNTH.sizes(), x_BNTH.options());
  return torch::empty_like(x_BNTH.transpose(1, 2), torch::MemoryFormat::Contiguous).transpose(1, 2);
}

// A rotation is its own gradient at the negative angle, between the two layouts.
Tensor turned(const Tensor& x_BNTH, const Tensor& cos, const Tensor& sin, const Turning& turning) {
  const auto x = numbers_side_by_side(x_BNTH);
  auto out = place_for_turned(x, turning.backwards);
#ifdef ATTNLAB_CUDA
  if (has_kernels(x)) {
    turn_on_gpu(x, cos, sin, turning, out);
    return out;
  }
#endif
  cpu::rotate(x, cos, sin,
              {.in_pairs = turning.in == RotaryPairs::neighbours,
               .out_pairs = turning.out == RotaryPairs::neighbours,
               .backwards = turning.backwards},
              out);
  return out;
}

void check_tables(const Tensor& x_BNTH, const Tensor& cos_BTr, const Tensor& sin_BTr) {
  TORCH_CHECK(fits_rotate_heads(x_BNTH, cos_BTr) && cos_BTr.sizes() == sin_BTr.sizes() &&
              cos_BTr.strides() == sin_BTr.strides() && cos_BTr.stride(2) == 1);
  for (const int64_t dim : {0, 1})  // B and T, of which x has them at 0 and 2
    TORCH_CHECK(cos_BTr.size(dim) == 1 || cos_BTr.size(dim) == x_BNTH.size(2 * dim));
  TORCH_CHECK(cos_BTr.size(2) <= x_BNTH.size(3));
}

class RotateHeads : public torch::autograd::Function<RotateHeads> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x_BNTH, const Tensor& cos, const Tensor& sin,
                        int64_t pairs) {
    context->save_for_backward({cos, sin});
    context->saved_data["pairs"] = pairs;
    return turned(x_BNTH, cos, sin, {static_cast<RotaryPairs>(pairs), RotaryPairs::halves, false});
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto pairs = static_cast<RotaryPairs>(context->saved_data["pairs"].toInt());
    return {turned(upstream[0], saved[0], saved[1], {RotaryPairs::halves, pairs, true}), {}, {}, {}};
  }
};

}  // namespace

bool fits_rotate_heads(const Tensor& x_BNTH, const Tensor& cos_BTr) {
  if (has_kernels(x_BNTH)) return has_kernels(cos_BTr);
  return cpu::has_loops(x_BNTH) && cpu::has_loops(cos_BTr) &&
         (cos_BTr.scalar_type() == torch::kFloat32 || x_BNTH.scalar_type() == torch::kBFloat16);
}

Tensor rotate_heads(const Tensor& x_BNTH, const Tensor& cos_BTr, const Tensor& sin_BTr, RotaryPairs pairs) {
  check_tables(x_BNTH, cos_BTr, sin_BTr);
  TORCH_CHECK(pairs == RotaryPairs::halves || cos_BTr.size(2) == x_BNTH.size(3));
  if (!torch::GradMode::is_enabled())
    return turned(x_BNTH, cos_BTr, sin_BTr, {pairs, RotaryPairs::halves, false});
  return RotateHeads::apply(x_BNTH, cos_BTr, sin_BTr, static_cast<int64_t>(pairs));
}

#ifdef ATTNLAB_CUDA

Tensor rotate_queries_and_keys(const Tensor& q_BNTH, const Tensor& k_BGTH, Tensor k_out_PGTH,
                               const Tensor& cos_BTr, const Tensor& sin_BTr, const Tensor& rows_B) {
  check_tables(q_BNTH, cos_BTr, sin_BTr);
  check_tables(k_BGTH, cos_BTr, sin_BTr);
  TORCH_CHECK(has_kernels(q_BNTH) && !torch::GradMode::is_enabled() &&
              k_out_PGTH.sizes().slice(1) == k_BGTH.sizes().slice(1) && k_out_PGTH.stride(3) == 1 &&
              q_BNTH.scalar_type() == k_BGTH.scalar_type() && k_out_PGTH.scalar_type() == k_BGTH.scalar_type());
  TORCH_CHECK(rows_B.defined() ? rows_B.scalar_type() == torch::kInt64 && rows_B.is_contiguous() &&
                                     rows_B.is_cuda() && rows_B.numel() == k_BGTH.size(0)
                               : k_out_PGTH.size(0) == k_BGTH.size(0));
  const c10::cuda::CUDAGuard guard(q_BNTH.device());
  const auto q = numbers_side_by_side(q_BNTH), k = numbers_side_by_side(k_BGTH), out = torch::empty_like(q);
  const Turning turning{RotaryPairs::halves, RotaryPairs::halves, false};
  auto keys = rotary_job(k, k_out_PGTH, cos_BTr, turning);
  if (rows_B.defined()) keys.layout.out_rows = rows_B.const_data_ptr<int64_t>();
  C10_CUDA_CHECK(cuda::rotate(format_of(q), format_of(cos_BTr), rotary_job(q, out, cos_BTr, turning), keys,
                              cos_BTr.const_data_ptr(), sin_BTr.const_data_ptr(), stream_of(q)));
  return out;
}

#else

Tensor rotate_queries_and_keys(const Tensor&, const Tensor&, Tensor, const Tensor&, const Tensor&,
                               const Tensor&) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

#endif

}  // namespace attnlab
