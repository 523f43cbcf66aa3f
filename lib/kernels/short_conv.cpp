#include "kernels/short_conv.h"

#include <optional>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_short_conv(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK) {
  const int64_t C = weight_CK.size(0), K = weight_CK.size(1);
  return has_kernels(x_BTC) && weight_CK.scalar_type() == torch::kFloat32 && K >= 2 && K <= 4 && C % 4 == 0;
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

cuda::ShortConv conv_sizes(const Tensor& x, const Tensor& weight, const Tensor& begins) {
  return {.B = x.size(0),
          .T = x.size(1),
          .C = x.size(2),
          .K = weight.size(1),
          .begins_b = begins.defined() && begins.size(0) > 1 ? begins.stride(0) : 0};
}
const bool* flags_of(const Tensor& x) { return x.defined() ? x.const_data_ptr<bool>() : nullptr; }

class ShortConvolution : public torch::autograd::Function<ShortConvolution> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, const std::optional<Tensor>& where_begins) {
    const c10::cuda::CUDAGuard guard(x.device());
    const Tensor begins = where_begins.value_or(Tensor());
    auto y = torch::empty(x.sizes(), x.options().dtype(torch::kFloat32));
    C10_CUDA_CHECK(cuda::short_conv(
        format_of(x), conv_sizes(x, weight, begins), x.const_data_ptr(), weight.const_data_ptr<float>(),
        bias ? bias->const_data_ptr<float>() : nullptr, flags_of(begins), y.data_ptr<float>(), stream_of(x)));
    context->save_for_backward({x, weight, begins});
    context->saved_data["bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &begins = saved[2];
    const c10::cuda::CUDAGuard guard(x.device());
    const auto dy = upstream[0].contiguous();
    const auto sizes = conv_sizes(x, weight, begins);
    auto dx = torch::empty_like(x);
    const auto partial =
        torch::empty({sizes.B * cuda::short_conv_runs(sizes.T), sizes.K + 1, sizes.C}, dy.options());
    C10_CUDA_CHECK(cuda::short_conv_backward(
        format_of(x), sizes, x.const_data_ptr(), weight.const_data_ptr<float>(), dy.const_data_ptr<float>(),
        flags_of(begins), dx.data_ptr(), partial.data_ptr<float>(), stream_of(x)));
    const auto sums = partial.sum(0);
    const auto dbias = context->saved_data["bias"].toBool() ? sums.select(0, sizes.K) : Tensor();
    return {dx, sums.narrow(0, 0, sizes.K).t(), dbias, {}};
  }
};

}  // namespace

torch::Tensor short_conv(const Tensor& x_BTC, const Tensor& weight_CK, const Tensor& bias_C,
                         const Tensor& begins_BT) {
  TORCH_CHECK(fits_short_conv(x_BTC, weight_CK) && x_BTC.size(2) == weight_CK.size(0));
  const auto given = [](const Tensor& x) {
    return x.defined() ? std::optional<Tensor>(x.contiguous()) : std::nullopt;
  };
  return ShortConvolution::apply(x_BTC.contiguous(), weight_CK.contiguous(), given(bias_C), given(begins_BT));
}

#else

torch::Tensor short_conv(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                         const torch::Tensor&) {
  TORCH_CHECK(false, "there are no kernels in this build");
}

#endif

}  // namespace attnlab
