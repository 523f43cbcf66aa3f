#include "kernels/rwkv_heads.h"

#include <optional>

#include "kernels/fused.h"
#include "kernels/wkv_layout.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_rwkv_heads(const torch::Tensor& x_BTW, int64_t head_dim) {
  return has_kernels(x_BTW) && head_dim == cuda::kWkvHead;
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

cuda::HeadRows head_rows(const Tensor& x) { return {.rows = x.numel() / x.size(-1), .C = x.size(-1)}; }

Tensor empty_sums(const Tensor& x, int64_t vectors) {
  const auto rows = head_rows(x);
  return torch::empty({cuda::head_runs(rows.rows), vectors, rows.C}, x.options().dtype(torch::kFloat32));
}
Tensor empty_in_full(const Tensor& x) { return torch::empty(x.sizes(), x.options().dtype(torch::kFloat32)); }

class PrepareWkv7 : public torch::autograd::Function<PrepareWkv7> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& k, const Tensor& w, const Tensor& a,
                               const Tensor& vectors) {
    const c10::cuda::CUDAGuard guard(k.device());
    variable_list out;
    for (int i = 0; i < 4; ++i) out.push_back(empty_in_full(k));
    C10_CUDA_CHECK(cuda::prepare_wkv7(format_of(k), head_rows(k), inputs_of({k, w, a, vectors}),
                                      numbers_of(out), stream_of(k)));
    context->save_for_backward({k, w, a, vectors});
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const auto& k = in[0];
    const c10::cuda::CUDAGuard guard(k.device());
    variable_list d;
    for (const auto& x : upstream) d.push_back(x.contiguous());
    auto dk = torch::empty_like(k), dw = torch::empty_like(k), da = torch::empty_like(k);
    const auto sums = empty_sums(k, 4);
    C10_CUDA_CHECK(cuda::prepare_wkv7_backward(format_of(k), head_rows(k), inputs_of(in), numbers_of(d),
                                               {.k = dk.data_ptr(), .w = dw.data_ptr(), .a = da.data_ptr()},
                                               sums.data_ptr<float>(), stream_of(k)));
    return {dk, dw, da, sums.sum(0)};
  }

 private:
  static cuda::Wkv7Keys inputs_of(const variable_list& in) {
    return {.k = in[0].const_data_ptr(),
            .w = in[1].const_data_ptr(),
            .a = in[2].const_data_ptr(),
            .vectors = in[3].const_data_ptr<float>()};
  }
  static cuda::Wkv7Prepared numbers_of(const variable_list& x) {
    return {.w = x[0].data_ptr<float>(),
            .k = x[1].data_ptr<float>(),
            .a = x[2].data_ptr<float>(),
            .b = x[3].data_ptr<float>()};
  }
};

class Rwkv6Decay : public torch::autograd::Function<Rwkv6Decay> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& lora, const Tensor& w0) {
    const c10::cuda::CUDAGuard guard(lora.device());
    auto w = empty_in_full(lora);
    C10_CUDA_CHECK(cuda::rwkv6_decay(format_of(lora), head_rows(lora), lora.const_data_ptr(),
                                     w0.const_data_ptr<float>(), w.data_ptr<float>(), stream_of(lora)));
    context->save_for_backward({lora, w0});
    return w;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const auto &lora = in[0], dw = upstream[0].contiguous();
    const c10::cuda::CUDAGuard guard(lora.device());
    auto dlora = torch::empty_like(lora);
    const auto sums = empty_sums(lora, 1);
    C10_CUDA_CHECK(cuda::rwkv6_decay_backward(format_of(lora), head_rows(lora), lora.const_data_ptr(),
                                              in[1].const_data_ptr<float>(), dw.const_data_ptr<float>(),
                                              dlora.data_ptr(), sums.data_ptr<float>(), stream_of(lora)));
    return {dlora, sums.sum(torch::IntArrayRef{0, 1})};
  }
};

class RwkvOutputFunction : public torch::autograd::Function<RwkvOutputFunction> {
 public:
  using Maybe = std::optional<Tensor>;
  static Tensor forward(AutogradContext* context, const Tensor& o, const Tensor& gate, const Tensor& vectors,
                        const Maybe& r, const Maybe& k, const Maybe& v, double eps) {
    const c10::cuda::CUDAGuard guard(gate.device());
    const variable_list in{o, gate, vectors, r.value_or(Tensor()), k.value_or(Tensor()), v.value_or(Tensor())};
    auto y = torch::empty_like(gate);
    C10_CUDA_CHECK(
        cuda::rwkv_output(format_of(gate), head_rows(gate), inputs_of(in, eps), y.data_ptr(), stream_of(gate)));
    context->save_for_backward(in);
    context->saved_data["eps"] = eps;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const auto &gate = in[1], dy = upstream[0].contiguous();
    const c10::cuda::CUDAGuard guard(gate.device());
    const auto like = [](const Tensor& x) { return x.defined() ? torch::empty_like(x) : x; };
    const Tensor dout = like(in[0]), dgate = like(gate), dr = like(in[3]), dk = like(in[4]), dv = like(in[5]);
    const auto at = [](const Tensor& x) { return x.defined() ? x.data_ptr() : nullptr; };
    const auto sums = empty_sums(gate, in[2].size(0));
    C10_CUDA_CHECK(cuda::rwkv_output_backward(format_of(gate), head_rows(gate),
                                              inputs_of(in, context->saved_data["eps"].toDouble()),
                                              dy.const_data_ptr(),
                                              {.o = dout.data_ptr<float>(),
                                               .k = static_cast<float*>(at(dk)),
                                               .r = at(dr),
                                               .v = at(dv),
                                               .gate = at(dgate)},
                                              sums.data_ptr<float>(), stream_of(gate)));
    return {dout, dgate, sums.sum(0), dr, dk, dv, {}};
  }

 private:
  static cuda::RwkvOutputs inputs_of(const variable_list& in, double eps) {
    const auto at = [](const Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; };
    return {.o = in[0].const_data_ptr<float>(),
            .k = static_cast<const float*>(at(in[4])),
            .r = at(in[3]),
            .v = at(in[5]),
            .gate = at(in[1]),
            .vectors = in[2].const_data_ptr<float>(),
            .eps = static_cast<float>(eps)};
  }
};

}  // namespace

Wkv7Prepared prepare_wkv7(const Tensor& k_BTW, const Tensor& w_lora_BTW, const Tensor& a_lora_BTW,
                          const Tensor& vectors_4W) {
  TORCH_CHECK(fits_rwkv_heads(k_BTW, cuda::kWkvHead) && k_BTW.size(-1) % cuda::kWkvHead == 0);
  for (const auto& x : {w_lora_BTW, a_lora_BTW})
    TORCH_CHECK(x.sizes() == k_BTW.sizes() && x.scalar_type() == k_BTW.scalar_type());
  const auto out = PrepareWkv7::apply(k_BTW.contiguous(), w_lora_BTW.contiguous(), a_lora_BTW.contiguous(),
                                      vectors_4W.to(torch::kFloat32).contiguous());
  return {.w_BTW = out[0], .k_BTW = out[1], .a_BTW = out[2], .b_BTW = out[3]};
}

Tensor rwkv6_decay(const Tensor& w_lora_BTW, const Tensor& w0_W) {
  TORCH_CHECK(fits_rwkv_heads(w_lora_BTW, cuda::kWkvHead) && w_lora_BTW.size(-1) == w0_W.size(0) &&
              w0_W.size(0) % cuda::kWkvHead == 0);
  return Rwkv6Decay::apply(w_lora_BTW.contiguous(), w0_W.to(torch::kFloat32).contiguous());
}

torch::Tensor rwkv_output(const RwkvOutput& in) {
  const auto& gate = in.gate_BTW;
  const bool bonus = in.r_BTW.defined();
  TORCH_CHECK(fits_rwkv_heads(gate, cuda::kWkvHead) && gate.size(-1) % cuda::kWkvHead == 0 &&
              in.o_BTW.scalar_type() == torch::kFloat32 && in.vectors_nW.size(0) == (bonus ? 3 : 2));
  for (const auto& x : {in.o_BTW, in.r_BTW, in.k_BTW, in.v_BTW})
    TORCH_CHECK(!x.defined() || x.sizes() == gate.sizes());
  if (bonus)
    TORCH_CHECK(in.r_BTW.scalar_type() == gate.scalar_type() && in.v_BTW.scalar_type() == gate.scalar_type() &&
                in.k_BTW.scalar_type() == torch::kFloat32);
  const auto given = [](const Tensor& x) {
    return x.defined() ? std::optional<Tensor>(x.contiguous()) : std::nullopt;
  };
  return RwkvOutputFunction::apply(in.o_BTW.contiguous(), gate.contiguous(),
                                   in.vectors_nW.to(torch::kFloat32).contiguous(), given(in.r_BTW),
                                   given(in.k_BTW), given(in.v_BTW), in.eps);
}

#else

Wkv7Prepared prepare_wkv7(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                          const torch::Tensor&) {
  TORCH_CHECK(false, "there are no kernels in this build");
}

torch::Tensor rwkv6_decay(const torch::Tensor&, const torch::Tensor&) {
  TORCH_CHECK(false, "there are no kernels in this build");
}

torch::Tensor rwkv_output(const RwkvOutput&) { TORCH_CHECK(false, "there are no kernels in this build"); }

#endif

}  // namespace attnlab
