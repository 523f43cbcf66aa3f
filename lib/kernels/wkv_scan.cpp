#include "kernels/wkv_scan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

bool fits_wkv_scan(const WkvScan& scan) {
  constexpr int64_t kWidth = 64;
  const auto fits = [&](const torch::Tensor& x, bool full) {
    return !x.defined() ||
           (has_kernels(x) && x.size(-1) == kWidth && (!full || x.scalar_type() == torch::kFloat32));
  };
  return fits(scan.w_BNTK, true) && fits(scan.a_BNTK, true) && fits(scan.b_BNTK, true) &&
         fits(scan.bonus_NK, true) && fits(scan.r_BNTK, false) && fits(scan.k_BNTK, false) &&
         fits(scan.v_BNTV, false);
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<Tensor>;

// The inputs in their order, and behind them what the forward pass saves.
enum WkvTensor { kWkvR, kWkvW, kWkvK, kWkvV, kWkvA, kWkvB, kBonus, kWkvBegins, kWkvFirst, kWkvU, kWkvLast };

const float* floats_of(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
float* floats_to(const Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

cuda::HeadsView heads_view(const Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2)}; }
cuda::HeadsIn heads_in(const Tensor& x) {
  if (!x.defined()) return {};
  return {x.const_data_ptr(), format_of(x), heads_view(x)};
}
cuda::HeadsOut heads_out(const Tensor& x) {
  if (!x.defined()) return {};
  return {x.data_ptr(), format_of(x), heads_view(x)};
}

// Numbers of a head side by side, everything at multiples of 4.
Tensor in_fours(const Tensor& x) {
  const auto strides = x.strides();
  const bool fits =
      x.stride(3) == 1 && starts_at(x) &&
      std::all_of(strides.begin(), strides.end() - 1, [](int64_t stride) { return stride % 4 == 0; });
  return fits ? x : x.contiguous();
}

cuda::WkvSizes wkv_sizes(const Tensor& w, int64_t parts, int64_t length) {
  return {.B = w.size(0), .N = w.size(1), .parts = parts, .T = w.size(2), .length = length};
}

cuda::WkvInputs wkv_inputs(const variable_list& in) {
  return {.r = heads_in(in[kWkvR]),
          .w = heads_in(in[kWkvW]),
          .k = heads_in(in[kWkvK]),
          .v = heads_in(in[kWkvV]),
          .a = heads_in(in[kWkvA]),
          .b = heads_in(in[kWkvB]),
          .bonus = floats_of(in[kBonus]),
          .begins = in[kWkvBegins].defined() ? in[kWkvBegins].const_data_ptr<bool>() : nullptr,
          .first = floats_of(in[kWkvFirst]),
          .delta = in[kWkvA].defined()};
}

// [B, N, T, H] as a layer's outputs lie: heads of a token side by side.
Tensor empty_heads(const Tensor& like) {
  const int64_t N = like.size(1), T = like.size(2), H = like.size(3);
  return torch::empty_strided({like.size(0), N, T, H}, {T * N * H, H, N * H, 1},
                              like.options().dtype(torch::kFloat32));
}
Tensor empty_as(const Tensor& x) { return x.defined() ? torch::empty_like(x) : x; }

class WkvFunction : public torch::autograd::Function<WkvFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& w, const MaybeTensor& r,
                               const MaybeTensor& k, const MaybeTensor& v, const MaybeTensor& a,
                               const MaybeTensor& b, const MaybeTensor& bonus, const MaybeTensor& begins,
                               const MaybeTensor& first, int64_t parts, int64_t length, bool wants_o) {
    const c10::cuda::CUDAGuard guard(w.device());
    const auto given = [](const MaybeTensor& x) { return x.value_or(Tensor()); };
    variable_list in{given(r),      w,           given(k), given(v), given(a), given(b), given(bonus),
                     given(begins), given(first)};
    const Tensor o = wants_o ? empty_heads(w) : Tensor(), u = in[kWkvA].defined() ? empty_heads(w) : Tensor();
    const Tensor last = torch::empty({w.size(0), w.size(1), parts, w.size(3), w.size(3)}, w.options());
    C10_CUDA_CHECK(cuda::wkv_scan(wkv_sizes(w, parts, length), wkv_inputs(in), heads_out(o), heads_out(u),
                                  floats_to(last), stream_of(w)));
    in.push_back(u);
    in.push_back(last);
    context->save_for_backward(in);
    context->saved_data["parts"] = parts;
    context->saved_data["length"] = length;
    context->saved_data["wants_o"] = wants_o;
    context->set_materialize_grads(false);
    return wants_o ? variable_list{o, last} : variable_list{last};
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const auto& w = in[kWkvW];
    const int64_t parts = context->saved_data["parts"].toInt(), length = context->saved_data["length"].toInt();
    const bool has_o = context->saved_data["wants_o"].toBool();
    const c10::cuda::CUDAGuard guard(w.device());
    const Tensor dout = has_o && upstream[0].defined() ? in_fours(upstream[0]) : Tensor();
    const Tensor dlast = upstream.back().defined() ? upstream.back().contiguous() : Tensor();
    const Tensor dr = empty_as(in[kWkvR]), dw = empty_as(w), dk = empty_as(in[kWkvK]), dv = empty_as(in[kWkvV]),
                 da = empty_as(in[kWkvA]), db = empty_as(in[kWkvB]), dfirst = empty_as(in[kWkvFirst]);
    const Tensor du = da.defined() ? empty_heads(w) : Tensor(), read = empty_heads(w);
    const Tensor dbonus =
        da.defined() ? Tensor() : torch::empty({w.size(0), w.size(1), parts, w.size(3)}, w.options());
    C10_CUDA_CHECK(cuda::wkv_scan_backward(wkv_sizes(w, parts, length), wkv_inputs(in),
                                           {.u = heads_in(in[kWkvU]),
                                            .last = floats_of(in[kWkvLast]),
                                            .dout = heads_in(dout),
                                            .dlast = floats_of(dlast)},
                                           {.r = heads_out(dr),
                                            .w = heads_out(dw),
                                            .k = heads_out(dk),
                                            .v = heads_out(dv),
                                            .a = heads_out(da),
                                            .b = heads_out(db),
                                            .du = heads_out(du),
                                            .read = heads_out(read),
                                            .bonus = floats_to(dbonus),
                                            .first = floats_to(dfirst)},
                                           stream_of(w)));
    const Tensor of_bonus = dbonus.defined() ? dbonus.sum(torch::IntArrayRef{0, 2}) : Tensor();
    return {dw, dr, dk, dv, da, db, of_bonus, {}, dfirst, {}, {}, {}};
  }
};

}  // namespace

WkvScanned wkv_scan(const WkvScan& scan) {
  const auto& w = scan.w_BNTK;
  TORCH_CHECK(fits_wkv_scan(scan) && scan.a_BNTK.defined() == scan.b_BNTK.defined() &&
              scan.a_BNTK.defined() != scan.bonus_NK.defined() && scan.parts * scan.length >= w.size(2) &&
              (scan.parts - 1) * scan.length < w.size(2));
  for (const auto& x : {scan.r_BNTK, scan.k_BNTK, scan.v_BNTV, scan.a_BNTK, scan.b_BNTK})
    TORCH_CHECK(!x.defined() || x.sizes() == w.sizes());
  // Undefined tensors are not arguments of a torch function, absent ones are.
  const auto heads = [](const Tensor& x) { return x.defined() ? MaybeTensor(in_fours(x)) : std::nullopt; };
  const auto rows = [](const Tensor& x) { return x.defined() ? MaybeTensor(x.contiguous()) : std::nullopt; };
  const auto out =
      WkvFunction::apply(in_fours(w), heads(scan.r_BNTK), heads(scan.k_BNTK), heads(scan.v_BNTV),
                         heads(scan.a_BNTK), heads(scan.b_BNTK), rows(scan.bonus_NK), rows(scan.begins_BT),
                         rows(scan.first_BNpKV), scan.parts, scan.length, scan.wants_o);
  return {.o_BNTV = scan.wants_o ? out[0] : Tensor(), .last_BNpKV = out.back()};
}

#else

WkvScanned wkv_scan(const WkvScan&) { TORCH_CHECK(false, "there are no kernels in this build"); }

#endif

}  // namespace attnlab
