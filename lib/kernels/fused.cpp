#include "kernels/fused.h"

#include <algorithm>

#include "kernels/planned_attention.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

namespace {

torch::Tensor paired_softmax_in_parts(const torch::Tensor& y, double least) {
  return torch::cat({y.softmax(-1), (-y).softmax(-1)}, -1).clamp_min(least);
}

}  // namespace

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor gated_silu_of(const Tensor& gate, const Tensor& up) {
  const c10::cuda::CUDAGuard guard(gate.device());
  auto out = torch::empty_like(gate);
  C10_CUDA_CHECK(cuda::gated_silu(format_of(gate), gate.const_data_ptr(), up.const_data_ptr(), out.data_ptr(),
                                  out.numel(), stream_of(gate)));
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
    C10_CUDA_CHECK(cuda::gated_silu_backward(format_of(dout), saved[0].const_data_ptr(),
                                             saved[1].const_data_ptr(), dout.const_data_ptr(), dgate.data_ptr(),
                                             dup.data_ptr(), dout.numel(), stream_of(dout)));
    return {dgate, dup};
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

cuda::HeadsView strides_of(const Tensor& x_BNTH) {
  return {x_BNTH.stride(0), x_BNTH.stride(1), x_BNTH.stride(2)};
}

cuda::RotaryJob rotary_job(const Tensor& x, const Tensor& out, const Tensor& cos, RotaryPairs in,
                           RotaryPairs out_pairs, bool backwards) {
  return {.layout = {.B = x.size(0),
                     .N = x.size(1),
                     .T = x.size(2),
                     .head_dim = x.size(3),
                     .rotary_dim = cos.size(2),
                     .in = strides_of(x),
                     .out = strides_of(out),
                     .table_b = cos.size(0) == 1 ? 0 : cos.stride(0),
                     .table_t = cos.size(1) == 1 ? 0 : cos.stride(1),
                     .in_pairs = in == RotaryPairs::neighbours,
                     .out_pairs = out_pairs == RotaryPairs::neighbours,
                     .backwards = backwards},
          .x = x.const_data_ptr(),
          .out = out.data_ptr()};
}

Tensor side_by_side(const Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

// A rotation is its own gradient at the negative angle, between the two layouts.
Tensor turned(const Tensor& x_BNTH, const Tensor& cos, const Tensor& sin, RotaryPairs in, RotaryPairs out_pairs,
              bool backwards) {
  const c10::cuda::CUDAGuard guard(x_BNTH.device());
  const auto x = side_by_side(x_BNTH), out = torch::empty_like(x);
  C10_CUDA_CHECK(cuda::rotate(format_of(x), format_of(cos), rotary_job(x, out, cos, in, out_pairs, backwards),
                              {}, cos.const_data_ptr(), sin.const_data_ptr(), stream_of(x)));
  return out;
}

void check_tables(const Tensor& x_BNTH, const Tensor& cos_BTr, const Tensor& sin_BTr) {
  TORCH_CHECK(has_kernels(x_BNTH) && has_kernels(cos_BTr) && cos_BTr.sizes() == sin_BTr.sizes() &&
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
    return turned(x_BNTH, cos, sin, static_cast<RotaryPairs>(pairs), RotaryPairs::halves, false);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto pairs = static_cast<RotaryPairs>(context->saved_data["pairs"].toInt());
    return {turned(upstream[0], saved[0], saved[1], RotaryPairs::halves, pairs, true), {}, {}, {}};
  }
};

}  // namespace

bool has_cudnn_attention(torch::Device device) {
  constexpr int hopper = 9;
  return device.is_cuda() && at::cuda::getDeviceProperties(device.index())->major >= hopper;
}

bool has_kernels(const Tensor& tensor) {
  return tensor.is_cuda() &&
         (tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kBFloat16);
}

Tensor gated_silu(const Tensor& gate, const Tensor& up) {
  if (!has_kernels(gate)) return torch::silu(gate) * up;
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  if (!torch::GradMode::is_enabled()) return gated_silu_of(gate.contiguous(), up.contiguous());
  return GatedSilu::apply(gate, up);
}

Tensor paired_softmax(const Tensor& y, double least) {
  const bool fits =
      has_kernels(y) && y.scalar_type() == torch::kFloat32 && y.size(-1) <= cuda::kMostPairedWidth;
  return fits ? PairedSoftmax::apply(y, least) : paired_softmax_in_parts(y, least);
}

Tensor rotate_heads(const Tensor& x_BNTH, const Tensor& cos_BTr, const Tensor& sin_BTr, RotaryPairs pairs) {
  check_tables(x_BNTH, cos_BTr, sin_BTr);
  TORCH_CHECK(pairs == RotaryPairs::halves || cos_BTr.size(2) == x_BNTH.size(3));
  if (!torch::GradMode::is_enabled())
    return turned(x_BNTH, cos_BTr, sin_BTr, pairs, RotaryPairs::halves, false);
  return RotateHeads::apply(x_BNTH, cos_BTr, sin_BTr, static_cast<int64_t>(pairs));
}

Tensor rotate_queries_and_keys(const Tensor& q_BNTH, const Tensor& k_BGTH, Tensor k_out_PGTH,
                               const Tensor& cos_BTr, const Tensor& sin_BTr, const Tensor& rows_B) {
  check_tables(q_BNTH, cos_BTr, sin_BTr);
  check_tables(k_BGTH, cos_BTr, sin_BTr);
  TORCH_CHECK(!torch::GradMode::is_enabled() && k_out_PGTH.sizes().slice(1) == k_BGTH.sizes().slice(1) &&
              k_out_PGTH.stride(3) == 1 && q_BNTH.scalar_type() == k_BGTH.scalar_type() &&
              k_out_PGTH.scalar_type() == k_BGTH.scalar_type());
  TORCH_CHECK(rows_B.defined() ? rows_B.scalar_type() == torch::kInt64 && rows_B.is_contiguous() &&
                                     rows_B.is_cuda() && rows_B.numel() == k_BGTH.size(0)
                               : k_out_PGTH.size(0) == k_BGTH.size(0));
  const c10::cuda::CUDAGuard guard(q_BNTH.device());
  const auto q = side_by_side(q_BNTH), k = side_by_side(k_BGTH), out = torch::empty_like(q);
  const auto job = [&](const Tensor& x, const Tensor& to) {
    return rotary_job(x, to, cos_BTr, RotaryPairs::halves, RotaryPairs::halves, false);
  };
  auto keys = job(k, k_out_PGTH);
  if (rows_B.defined()) keys.layout.out_rows = rows_B.const_data_ptr<int64_t>();
  C10_CUDA_CHECK(cuda::rotate(format_of(q), format_of(cos_BTr), job(q, out), keys, cos_BTr.const_data_ptr(),
                              sin_BTr.const_data_ptr(), stream_of(q)));
  return out;
}

bool fits_single_query(const Tensor& q_BGnH, const Tensor& k_BGSH, const Tensor& v_BGSW) {
  constexpr int64_t pack = 8, widest = 256;
  const auto bytes = std::min<uint64_t>(16, pack * q_BGnH.element_size());
  const auto in_packs = [&](const Tensor& x) {
    const auto strides = x.strides();
    return x.scalar_type() == q_BGnH.scalar_type() && x.size(3) % pack == 0 && x.size(3) <= widest &&
           x.stride(3) == 1 && reinterpret_cast<uint64_t>(x.const_data_ptr()) % bytes == 0 &&
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

bool has_kernels(const torch::Tensor&) { return false; }

torch::Tensor gated_silu(const torch::Tensor& gate, const torch::Tensor& up) { return torch::silu(gate) * up; }

torch::Tensor paired_softmax(const torch::Tensor& y, double least) { return paired_softmax_in_parts(y, least); }

torch::Tensor rotate_heads(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&, RotaryPairs) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

bool fits_single_query(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&) { return false; }

torch::Tensor attend_single_query(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                  const torch::Tensor&, double, double) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor rotate_queries_and_keys(const torch::Tensor&, const torch::Tensor&, torch::Tensor,
                                      const torch::Tensor&, const torch::Tensor&, const torch::Tensor&) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor cross_entropy_in_place(torch::Tensor&, const torch::Tensor&, double, bool) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

#endif

}  // namespace attnlab
