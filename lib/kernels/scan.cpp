#include "kernels/scan.h"

#include <optional>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_scan(const torch::Tensor& x_BNTP, const torch::Tensor& A_NPS) {
  return has_kernels(x_BNTP) && x_BNTP.scalar_type() == torch::kFloat32 &&
         A_NPS.scalar_type() == torch::kFloat32 && A_NPS.size(2) <= 256;
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* values_of(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
float* place_of(const Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

// The inputs in their order: x, step, A, B, C, begins, first.
enum Input { kX, kStep, kA, kB, kC, kBegins, kFirst };

cuda::ScanSizes sizes_of(const variable_list& in, int64_t parts) {
  const int64_t rows = in[kX].size(0) * in[kX].size(1) * parts;
  return {.rows = rows,
          .parts = parts,
          .N = in[kX].size(1),
          .T = in[kX].size(2) / parts,
          .P = in[kX].size(3),
          .S = in[kA].size(2)};
}

cuda::ScanInputs inputs_of(const variable_list& in) {
  return {.x = values_of(in[kX]),
          .step = values_of(in[kStep]),
          .A = values_of(in[kA]),
          .B = values_of(in[kB]),
          .C = values_of(in[kC]),
          .begins = in[kBegins].defined() ? in[kBegins].const_data_ptr<bool>() : nullptr,
          .first = values_of(in[kFirst])};
}

class Scan : public torch::autograd::Function<Scan> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& step, const Tensor& A,
                               const Tensor& B, const Tensor& C, const std::optional<Tensor>& where_begins,
                               const std::optional<Tensor>& at_first, int64_t parts, bool wants_y) {
    const c10::cuda::CUDAGuard guard(x.device());
    const Tensor begins = where_begins.value_or(Tensor()), first = at_first.value_or(Tensor());
    const variable_list in{x, step, A, B, C, begins, first};
    const auto sizes = sizes_of(in, parts);
    const bool backward = x.requires_grad() || step.requires_grad() || A.requires_grad() || B.requires_grad() ||
                          C.requires_grad() || (first.defined() && first.requires_grad());
    const Tensor y = wants_y ? torch::empty_like(x) : Tensor();
    const Tensor last = torch::empty({x.size(0), x.size(1), parts, sizes.P, sizes.S}, x.options());
    const Tensor stored =
        backward ? torch::empty({sizes.rows, sizes.stored(), sizes.P, sizes.S}, x.options()) : Tensor();
    C10_CUDA_CHECK(cuda::selective_scan(sizes, inputs_of(in), place_of(y), place_of(stored), place_of(last),
                                        stream_of(x)));
    context->save_for_backward({x, step, A, B, C, begins, first, stored});
    context->saved_data["parts"] = parts;
    context->saved_data["wants_y"] = wants_y;
    context->set_materialize_grads(false);
    return wants_y ? variable_list{y, last} : variable_list{last};
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const int64_t parts = context->saved_data["parts"].toInt();
    const bool has_y = context->saved_data["wants_y"].toBool();
    const c10::cuda::CUDAGuard guard(in[kX].device());
    const auto given = [](const Tensor& gradient) {
      return gradient.defined() ? gradient.contiguous() : gradient;
    };
    const Tensor dy = has_y ? given(upstream[0]) : Tensor(), dlast = given(upstream.back());
    const Tensor dx = torch::empty_like(in[kX]), dstep = torch::empty_like(in[kX]),
                 dA = torch::zeros_like(in[kA]), dB = torch::zeros_like(in[kB]), dC = torch::zeros_like(in[kC]);
    const Tensor dfirst = in[kFirst].defined() ? torch::empty_like(in[kFirst]) : Tensor();
    C10_CUDA_CHECK(cuda::selective_scan_backward(sizes_of(in, parts), inputs_of(in), values_of(in.back()),
                                                 values_of(dy), values_of(dlast),
                                                 {.x = place_of(dx),
                                                  .step = place_of(dstep),
                                                  .A = place_of(dA),
                                                  .B = place_of(dB),
                                                  .C = place_of(dC),
                                                  .first = place_of(dfirst)},
                                                 stream_of(dx)));
    return {dx, dstep, dA, dB, dC, {}, dfirst, {}, {}};
  }
};

}  // namespace

ScannedParts scan_parts(const ScanParts& scan) {
  const auto& x = scan.x_BNTP;
  TORCH_CHECK(fits_scan(x, scan.A_NPS) && x.size(2) % scan.parts == 0 && scan.step_BNTP.sizes() == x.sizes() &&
              scan.B_BNTS.sizes() == scan.C_BNTS.sizes() && scan.B_BNTS.size(2) == x.size(2) &&
              scan.B_BNTS.size(3) == scan.A_NPS.size(2) && scan.A_NPS.size(1) == x.size(3));
  // Undefined tensors are not arguments of a torch function, absent ones are.
  const auto given = [](const Tensor& x) {
    return x.defined() ? std::optional<Tensor>(x.contiguous()) : std::nullopt;
  };
  const auto out = Scan::apply(x.contiguous(), scan.step_BNTP.contiguous(), scan.A_NPS.contiguous(),
                               scan.B_BNTS.contiguous(), scan.C_BNTS.contiguous(), given(scan.begins_BT),
                               given(scan.first_BNpPS), scan.parts, scan.wants_y);
  return {.y_BNTP = scan.wants_y ? out[0] : Tensor(), .last_BNpPS = out.back()};
}

#else

ScannedParts scan_parts(const ScanParts&) { TORCH_CHECK(false, "there are no kernels in this build"); }

#endif

}  // namespace attnlab
