#include "kernels/fused.h"

#include <algorithm>

#include "kernels/cpu_kernels.h"
#include "kernels/device_memory.h"
#include "kernels/planned_attention.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

namespace {

torch::Tensor paired_softmax_in_parts(const torch::Tensor& y, double least) {
  return torch::cat({y.softmax(-1), (-y).softmax(-1)}, -1).clamp_min(least);
}

torch::Tensor halves_in_parts(const torch::Tensor& gate_and_up) {
  const auto parts = gate_and_up.chunk(2, -1);
  return torch::silu(parts[0]) * parts[1];
}

}  // namespace

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

cuda::GatedRows one_row(const Tensor& gate) {
  return {.rows = 1, .width = gate.numel(), .inputs = gate.numel()};
}

// Of gate and up side by side, contiguous.
cuda::GatedRows rows_of_halves(const Tensor& both) {
  const int64_t width = both.size(-1) / 2;
  return {.rows = both.numel() / both.size(-1), .width = width, .inputs = 2 * width};
}

const char* second_half(const Tensor& both) {
  return static_cast<const char*>(both.const_data_ptr()) + both.size(-1) / 2 * both.element_size();
}

Tensor gated_silu_of(const Tensor& gate, const Tensor& up) {
  const c10::cuda::CUDAGuard guard(gate.device());
  auto out = torch::empty_like(gate);
  C10_CUDA_CHECK(cuda::gated_silu(format_of(gate), one_row(gate), gate.const_data_ptr(), up.const_data_ptr(),
                                  out.data_ptr(), stream_of(gate)));
  return out;
}

Tensor halves_gated(const Tensor& both) {
  const c10::cuda::CUDAGuard guard(both.device());
  auto sizes = both.sizes().vec();
  sizes.back() /= 2;
  auto out = torch::empty(sizes, both.options());
  C10_CUDA_CHECK(cuda::gated_silu(format_of(both), rows_of_halves(both), both.const_data_ptr(),
                                  second_half(both), out.data_ptr(), stream_of(both)));
  return out;
}

// Without gradients these are passed over: on the host, they take as long as a kernel's launch.
class GatedSilu : public torch::autograd::Function<GatedSilu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& gate_in, const Tensor& up_in) {
    const auto gate = gate_in.contiguous(), up = up_in.contiguous();
    context->save_for_backward({gate, up});
    return gated_silu_of(gate, up);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const c10::cuda::CUDAGuard guard(saved[0].device());
    const auto dout = upstream[0].contiguous();
    auto dgate = torch::empty_like(saved[0]), dup = torch::empty_like(saved[0]);
    C10_CUDA_CHECK(cuda::gated_silu_backward(format_of(dout), one_row(dout), saved[0].const_data_ptr(),
                                             saved[1].const_data_ptr(), dout.const_data_ptr(), dgate.data_ptr(),
                                             dup.data_ptr(), stream_of(dout)));
    return {dgate, dup};
  }
};

class GatedSiluOfHalves : public torch::autograd::Function<GatedSiluOfHalves> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& both_in) {
    const auto both = both_in.contiguous();
    context->save_for_backward({both});
    return halves_gated(both);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto both = context->get_saved_variables()[0], dout = upstream[0].contiguous();
    const c10::cuda::CUDAGuard guard(both.device());
    auto dboth = torch::empty_like(both);
    auto* dup = static_cast<char*>(dboth.data_ptr()) + both.size(-1) / 2 * both.element_size();
    C10_CUDA_CHECK(cuda::gated_silu_backward(format_of(dout), rows_of_halves(both), both.const_data_ptr(),
                                             second_half(both), dout.const_data_ptr(), dboth.data_ptr(), dup,
                                             stream_of(dout)));
    return {dboth};
  }
};

class PairedSoftmax : public torch::autograd::Function<PairedSoftmax> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& y_in, double least) {
    const c10::cuda::CUDAGuard guard(y_in.device());
    const auto y = y_in.contiguous();
    auto sizes = y.sizes().vec();
    sizes.back() *= 2;
    auto out = torch::empty(sizes, y.options());
    C10_CUDA_CHECK(cuda::paired_softmax(y.const_data_ptr<float>(), out.data_ptr<float>(),
                                        y.numel() / y.size(-1), y.size(-1), static_cast<float>(least),
                                        stream_of(y)));
    context->save_for_backward({out});
    context->saved_data["least"] = least;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto out = context->get_saved_variables()[0], dout = upstream[0].contiguous();
    const c10::cuda::CUDAGuard guard(out.device());
    auto sizes = out.sizes().vec();
    sizes.back() /= 2;
    auto dy = torch::empty(sizes, out.options());
    C10_CUDA_CHECK(cuda::paired_softmax_backward(out.const_data_ptr<float>(), dout.const_data_ptr<float>(),
                                                 dy.data_ptr<float>(), dy.numel() / dy.size(-1), dy.size(-1),
                                                 static_cast<float>(context->saved_data["least"].toDouble()),
                                                 stream_of(dy)));
    return {dy, {}};
  }
};

}  // namespace

bool has_cudnn_attention(torch::Device device) {
  constexpr int hopper = 9;
  return device.is_cuda() && at::cuda::getDeviceProperties(device.index())->major >= hopper;
}

int64_t total_memory(torch::Device device) {
  if (!device.is_cuda()) return 0;
  return static_cast<int64_t>(at::cuda::getDeviceProperties(device.index())->totalGlobalMem);
}

bool has_kernels(const Tensor& tensor) {
  return tensor.is_cuda() &&
         (tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kBFloat16);
}

Tensor gated_silu(const Tensor& gate, const Tensor& up) {
  if (!has_kernels(gate)) return cpu::gated_silu(gate, up);
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  if (!torch::GradMode::is_enabled()) return gated_silu_of(gate.contiguous(), up.contiguous());
  return GatedSilu::apply(gate, up);
}

Tensor gated_silu_of_halves(const Tensor& gate_and_up) {
  if (!has_kernels(gate_and_up)) return halves_in_parts(gate_and_up);
  TORCH_CHECK(gate_and_up.size(-1) % 2 == 0);
  if (!torch::GradMode::is_enabled()) return halves_gated(gate_and_up.contiguous());
  return GatedSiluOfHalves::apply(gate_and_up);
}

Tensor paired_softmax(const Tensor& y, double least) {
  const bool fits =
      has_kernels(y) && y.scalar_type() == torch::kFloat32 && y.size(-1) <= cuda::kMostPairedWidth;
  return fits ? PairedSoftmax::apply(y, least) : paired_softmax_in_parts(y, least);
}

bool fits_single_query(const Tensor& q_BGnH, const Tensor& k_BGSH, const Tensor& v_BGSW) {
  constexpr int64_t pack = 8, widest = 256;
  const auto bytes = std::min<uint64_t>(16, pack * q_BGnH.element_size());
  const auto in_packs = [&](const Tensor& x) {
    const auto strides = x.strides();
    return x.scalar_type() == q_BGnH.scalar_type() && x.size(3) % pack == 0 && x.size(3) <= widest &&
           x.stride(3) == 1 && starts_at(x, bytes) &&
           std::all_of(strides.begin(), strides.end() - 1, [&](int64_t stride) { return stride % pack == 0; });
  };
  const bool gradients = torch::GradMode::is_enabled() &&
                         (q_BGnH.requires_grad() || k_BGSH.requires_grad() || v_BGSW.requires_grad());
  return has_kernels(q_BGnH) && !gradients && q_BGnH.size(3) % pack == 0 && in_packs(k_BGSH) &&
         in_packs(v_BGSW);
}

Tensor attend_single_query(const Tensor& q_BGnH, const Tensor& k_BGSH, const Tensor& v_BGSW,
                           const Tensor& mask_BG1S, double scale, double softcap) {
  TORCH_CHECK(fits_single_query(q_BGnH, k_BGSH, v_BGSW));
  const c10::cuda::CUDAGuard guard(q_BGnH.device());
  const auto q = q_BGnH.contiguous();
  const int64_t B = q.size(0), G = q.size(1), n = q.size(2), S = k_BGSH.size(2);
  TORCH_CHECK(k_BGSH.size(0) == B && v_BGSW.size(0) == B && k_BGSH.size(1) == G && v_BGSW.size(1) == G &&
              v_BGSW.size(2) == S && k_BGSH.size(3) == q.size(3));
  cuda::SingleQueryLayout layout{.B = B,
                                 .G = G,
                                 .n = n,
                                 .S = S,
                                 .key_width = q.size(3),
                                 .value_width = v_BGSW.size(3),
                                 .k = strides_of(k_BGSH),
                                 .v = strides_of(v_BGSW),
                                 .mask = {},
                                 .scale = static_cast<float>(scale),
                                 .softcap = static_cast<float>(softcap),
                                 .part = 0};
  if (mask_BG1S.defined()) {
    const auto mask = mask_BG1S.expand({B, G, 1, S});
    TORCH_CHECK(mask.scalar_type() == torch::kBool);
    layout.mask = {mask.stride(0), mask.stride(1), mask.stride(3)};
  }
  layout.part =
      cuda::single_query_part(B, G, S, at::cuda::getDeviceProperties(q.device().index())->multiProcessorCount);
  const auto workspace =
      torch::empty({cuda::single_query_workspace(layout)}, q.options().dtype(torch::kFloat32));
  auto out = torch::empty({B, G, n, layout.value_width}, q.options());
  C10_CUDA_CHECK(cuda::single_query(format_of(q), layout, q.const_data_ptr(), k_BGSH.const_data_ptr(),
                                    v_BGSW.const_data_ptr(),
                                    mask_BG1S.defined() ? mask_BG1S.const_data_ptr<bool>() : nullptr,
                                    out.data_ptr(), workspace.data_ptr<float>(), stream_of(q)));
  return out;
}

Tensor cross_entropy_in_place(Tensor& logits_RV, const Tensor& targets_R, double softcap, bool gradient) {
  TORCH_CHECK(has_kernels(logits_RV) && logits_RV.is_contiguous() && targets_R.is_contiguous() &&
              targets_R.scalar_type() == torch::kInt64 && targets_R.size(0) == logits_RV.size(0));
  const c10::cuda::CUDAGuard guard(logits_RV.device());
  auto losses = torch::empty({logits_RV.size(0)}, logits_RV.options().dtype(torch::kFloat32));
  C10_CUDA_CHECK(cuda::cross_entropy(
      format_of(logits_RV), logits_RV.data_ptr(), targets_R.const_data_ptr<int64_t>(), losses.data_ptr<float>(),
      logits_RV.size(0), logits_RV.size(1), static_cast<float>(softcap), gradient, stream_of(logits_RV)));
  return losses;
}

#else

bool has_cudnn_attention(torch::Device) { return false; }

int64_t total_memory(torch::Device) { return 0; }

bool has_kernels(const torch::Tensor&) { return false; }

torch::Tensor gated_silu(const torch::Tensor& gate, const torch::Tensor& up) {
  return cpu::gated_silu(gate, up);
}

torch::Tensor gated_silu_of_halves(const torch::Tensor& gate_and_up) { return halves_in_parts(gate_and_up); }

torch::Tensor paired_softmax(const torch::Tensor& y, double least) { return paired_softmax_in_parts(y, least); }

bool fits_single_query(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&) { return false; }

torch::Tensor attend_single_query(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                  const torch::Tensor&, double, double) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor cross_entropy_in_place(torch::Tensor&, const torch::Tensor&, double, bool) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

#endif

}  // namespace attnlab
