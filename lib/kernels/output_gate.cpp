#include "kernels/output_gate.h"

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_output_gate(const torch::Tensor& y_BTW, const torch::Tensor& z_BTW) {
  constexpr int64_t kMost = int64_t{1} << 33;  // packs of four are counted in 32 bits
  return y_BTW.scalar_type() == torch::kFloat32 && has_kernels(y_BTW) && has_kernels(z_BTW) &&
         y_BTW.dim() == 3 && y_BTW.size(2) % 4 == 0 && y_BTW.numel() > 0 && y_BTW.numel() < kMost;
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows at one distance, of packs of four.
Tensor rows_of_packs(const Tensor& z_BTW) {
  const bool fits = z_BTW.stride(2) == 1 && z_BTW.stride(1) % 4 == 0 &&
                    (z_BTW.size(0) == 1 || z_BTW.stride(0) == z_BTW.size(1) * z_BTW.stride(1)) &&
                    starts_at(z_BTW);
  return fits ? z_BTW : z_BTW.contiguous();
}

cuda::GateRows gate_rows(const Tensor& z_BTW) {
  return {.rows = z_BTW.size(0) * z_BTW.size(1), .width = z_BTW.size(2), .z_row = z_BTW.stride(1)};
}

class OutputGate : public torch::autograd::Function<OutputGate> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& y, const Tensor& z) {
    const c10::cuda::CUDAGuard guard(y.device());
    auto out = torch::empty(z.sizes(), z.options());
    C10_CUDA_CHECK(cuda::output_gate(format_of(z), gate_rows(z), y.const_data_ptr<float>(), z.const_data_ptr(),
                                     out.data_ptr(), stream_of(y)));
    context->save_for_backward({y, z});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &y = saved[0], &z = saved[1];
    const c10::cuda::CUDAGuard guard(y.device());
    const auto dout = upstream[0].contiguous();
    auto dy = torch::empty_like(y), dz = torch::empty(z.sizes(), z.options());
    C10_CUDA_CHECK(cuda::output_gate_backward(format_of(z), gate_rows(z), y.const_data_ptr<float>(),
                                              z.const_data_ptr(), dout.const_data_ptr(), dy.data_ptr<float>(),
                                              dz.data_ptr(), stream_of(y)));
    return {dy, dz};
  }
};

}  // namespace

torch::Tensor output_gate(const Tensor& y_BTW, const Tensor& z_BTW) {
  TORCH_CHECK(fits_output_gate(y_BTW, z_BTW) && y_BTW.sizes() == z_BTW.sizes());
  return OutputGate::apply(y_BTW.contiguous(), rows_of_packs(z_BTW));
}

#else

torch::Tensor output_gate(const torch::Tensor&, const torch::Tensor&) {
  TORCH_CHECK(false, "there are no kernels in this build");
}

#endif

}  // namespace attnlab
