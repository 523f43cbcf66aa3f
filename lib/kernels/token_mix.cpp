#include "kernels/token_mix.h"

#include <array>
#include <optional>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_token_mix(const torch::Tensor& x_BTD, int64_t n) {
  return has_kernels(x_BTD) && x_BTD.size(2) % 4 == 0 && (n == 1 || n == 5 || n == 6);
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr size_t kMostMixes = 6;

cuda::TokenMix mix_sizes(const Tensor& x, const Tensor& mu, const Tensor& begins) {
  return {.B = x.size(0),
          .T = x.size(1),
          .C = x.size(2),
          .n = mu.size(0),
          .begins_b = begins.defined() && begins.size(0) > 1 ? begins.stride(0) : 0};
}

cuda::TokenMixInputs mix_inputs(const Tensor& x, const Tensor& mu, const Tensor& m, const Tensor& begins) {
  return {.x = x.const_data_ptr(),
          .mu = mu.const_data_ptr<float>(),
          .m = m.defined() ? m.const_data_ptr() : nullptr,
          .begins = begins.defined() ? begins.const_data_ptr<bool>() : nullptr};
}

class TokenMixFunction : public torch::autograd::Function<TokenMixFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& mu,
                               const std::optional<Tensor>& maybe_m,
                               const std::optional<Tensor>& maybe_begins) {
    const c10::cuda::CUDAGuard guard(x.device());
    const Tensor m = maybe_m.value_or(Tensor()), begins = maybe_begins.value_or(Tensor());
    variable_list out;
    std::array<void*, kMostMixes> pointers{};
    for (int64_t y = 0; y < mu.size(0); ++y) {
      out.push_back(torch::empty_like(x));
      pointers[static_cast<size_t>(y)] = out.back().data_ptr();
    }
    C10_CUDA_CHECK(cuda::token_mix(format_of(x), mix_sizes(x, mu, begins), mix_inputs(x, mu, m, begins),
                                   pointers.data(), stream_of(x)));
    context->save_for_backward({x, mu, m, begins});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &mu = saved[1], &m = saved[2], &begins = saved[3];
    const c10::cuda::CUDAGuard guard(x.device());
    const auto sizes = mix_sizes(x, mu, begins);
    variable_list of_results;  // alive until the launch
    std::array<const void*, kMostMixes> pointers{};
    for (size_t y = 0; y < upstream.size(); ++y) {
      of_results.push_back(upstream[y].contiguous());
      pointers[y] = of_results.back().const_data_ptr();
    }
    auto dx = torch::empty_like(x);
    const Tensor dm = m.defined() ? torch::empty_like(m) : Tensor();
    const auto partial =
        torch::empty({sizes.B * cuda::token_mix_runs(sizes.T), sizes.n, sizes.C}, mu.options());
    C10_CUDA_CHECK(cuda::token_mix_backward(format_of(x), sizes, mix_inputs(x, mu, m, begins), pointers.data(),
                                            dx.data_ptr(), dm.defined() ? dm.data_ptr() : nullptr,
                                            partial.data_ptr<float>(), stream_of(x)));
    return {dx, partial.sum(0), dm, {}};
  }
};

}  // namespace

std::vector<Tensor> token_mix(const Tensor& x_BTD, const Tensor& mu_nD, const Tensor& m_nBTD,
                              const Tensor& begins_BT) {
  TORCH_CHECK(fits_token_mix(x_BTD, mu_nD.size(0)) && mu_nD.size(1) == x_BTD.size(2) &&
              (!m_nBTD.defined() || m_nBTD.scalar_type() == x_BTD.scalar_type()));
  const auto given = [](const Tensor& x) {
    return x.defined() ? std::optional<Tensor>(x.contiguous()) : std::nullopt;
  };
  return TokenMixFunction::apply(x_BTD.contiguous(), mu_nD.to(torch::kFloat32).contiguous(), given(m_nBTD),
                                 given(begins_BT));
}

#else

std::vector<torch::Tensor> token_mix(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                     const torch::Tensor&) {
  TORCH_CHECK(false, "there are no kernels in this build");
}

#endif

}  // namespace attnlab
