#include "kernels/latent_heads.h"

#include <limits>

#include "kernels/tensor_views.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

int64_t pack_of(const Tensor& x) { return static_cast<int64_t>(kPackBytes / x.element_size()); }

bool strides_in(const Tensor& x, int64_t pack) {
  for (int64_t dim = 0; dim + 1 < x.dim(); ++dim)
    if (x.size(dim) > 1 && x.stride(dim) % pack != 0) return false;
  return x.stride(-1) == 1;
}

// As the kernels read it, or a copy that is.
Tensor in_packs(const Tensor& x) {
  return strides_in(x, pack_of(x)) && starts_at(x) ? x : x.clone(torch::MemoryFormat::Contiguous);
}

// [B, T, N·w] → [B, N, T, w].
Tensor apart(const Tensor& x_BTW, int64_t N) { return x_BTW.unflatten(2, {N, -1}).transpose(1, 2); }

// On both sides of the kernels, all but k_rope [B, N, T, ..]; gradients lie in the same places. v: undefined in
// the forward pass.
struct Sides {
  Tensor q, kv, k_rope_BTr, q_heads, k_heads, v_heads;
};

cuda::LatentHeadsLayout layout_of(const Sides& s, const Tensor& cos, RotaryPairs pairs) {
  const int64_t rope = s.k_rope_BTr.size(2), nope = s.q.size(3) - rope;
  return {.B = s.q.size(0),
          .T = s.q.size(2),
          .N = static_cast<int>(s.q.size(1)),
          .nope = static_cast<int>(nope),
          .rope = static_cast<int>(rope),
          .value = static_cast<int>(s.kv.size(3) - nope),
          .table_b = cos.size(0) == 1 ? 0 : cos.stride(0),
          .table_t = cos.size(1) == 1 ? 0 : cos.stride(1),
          .in_pairs = pairs == RotaryPairs::neighbours,
          .q = strides_of(s.q),
          .kv = strides_of(s.kv),
          .k_rope = {s.k_rope_BTr.stride(0), 0, s.k_rope_BTr.stride(1)},
          .q_heads = strides_of(s.q_heads),
          .k_heads = strides_of(s.k_heads),
          .v_heads = s.v_heads.defined() ? strides_of(s.v_heads) : cuda::HeadsView{}};
}

void run(const Sides& s, const Tensor& cos, const Tensor& sin, RotaryPairs pairs, bool backward) {
  const auto layout = layout_of(s, cos, pairs);
  const cuda::LatentHeadsPointers at{.q = s.q.data_ptr(),
                                     .kv = s.kv.data_ptr(),
                                     .k_rope = s.k_rope_BTr.data_ptr(),
                                     .q_heads = s.q_heads.data_ptr(),
                                     .k_heads = s.k_heads.data_ptr(),
                                     .v_heads = s.v_heads.defined() ? s.v_heads.data_ptr() : nullptr,
                                     .cos = cos.const_data_ptr(),
                                     .sin = sin.const_data_ptr()};
  if (const auto* kernels = LatentHeadsOnCpu::active(); kernels && s.q.is_cpu())
    return (backward ? kernels->backward : kernels->forward)(format_of(s.q), format_of(cos), layout, at);
#ifdef ATTNLAB_CUDA
  const c10::cuda::CUDAGuard guard(s.q.device());
  const auto launch = backward ? cuda::latent_heads_backward : cuda::latent_heads_forward;
  C10_CUDA_CHECK(launch(format_of(s.q), format_of(cos), layout, at, stream_of(s.q)));
#else
  TORCH_CHECK(false, "built without CUDA kernels");
#endif
}

AttendedHeads made(const LatentHeads& h) {
  // To autograd results are no views, whose gradients would be those of a whole.
  const at::AutoDispatchBelowADInplaceOrView no_views;
  const auto by_token = [&] { return apart(torch::empty(h.q_BTQ.sizes(), h.q_BTQ.options()), h.N); };
  const Sides s{.q = apart(in_packs(h.q_BTQ), h.N),
                .kv = apart(in_packs(h.kv_BTK), h.N),
                .k_rope_BTr = in_packs(h.k_rope_BTr),
                .q_heads = by_token(),
                .k_heads = by_token(),
                .v_heads = {}};
  run(s, h.cos_BTr, h.sin_BTr, h.pairs, /*backward=*/false);
  return {s.q_heads, s.k_heads, s.kv.narrow(3, s.kv.size(3) - h.value, h.value)};
}

// How far apart rows [B·T] lie; their own width where that is no pack's multiple.
int64_t row_of(const Tensor& x_BTW) {
  const int64_t row = x_BTW.stride(1);
  const bool even = row > x_BTW.size(2) && x_BTW.stride(0) == x_BTW.size(1) * row && row % pack_of(x_BTW) == 0;
  return even ? row : x_BTW.size(2);
}

// q, kv, k_rope, value, cos, sin, N, pairs → q, k, v.
class MakeLatentHeads : public torch::autograd::Function<MakeLatentHeads> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& q, const Tensor& kv,
                               const Tensor& k_rope, int64_t value, const Tensor& cos, const Tensor& sin,
                               int64_t N, int64_t pairs) {
    context->save_for_backward({cos, sin});
    context->saved_data["pairs"] = pairs;
    context->saved_data["q_row"] = row_of(q);
    const auto out = made({q, kv, k_rope, value, cos, sin, N, static_cast<RotaryPairs>(pairs)});
    return {out.q_BNTH, out.k_BNTH, out.v_BNTV};
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    // A view to autograd would keep its whole: nobody is to hold what is behind the queries' gradient.
    const at::AutoDispatchBelowADInplaceOrView no_views;
    const auto saved = context->get_saved_variables();
    const auto pairs = static_cast<RotaryPairs>(context->saved_data["pairs"].toInt());
    const int64_t B = upstream[0].size(0), N = upstream[0].size(1), T = upstream[0].size(2),
                  H = upstream[0].size(3), V = upstream[2].size(3), rope = saved[0].size(2);
    const auto place = [&](int64_t width) { return torch::empty({B, T, width}, upstream[0].options()); };
    // As queries lay: where they were a part of a product, its gradient has room behind theirs.
    const auto dq = place(context->saved_data["q_row"].toInt()).narrow(2, 0, N * H),
               dkv = place(N * (H - rope + V)), dk_rope = place(rope);
    run({.q = apart(dq, N),
         .kv = apart(dkv, N),
         .k_rope_BTr = dk_rope,
         .q_heads = in_packs(upstream[0]),
         .k_heads = in_packs(upstream[1]),
         .v_heads = in_packs(upstream[2])},
        saved[0], saved[1], pairs, /*backward=*/true);
    return {dq, dkv, dk_rope, {}, {}, {}, {}, {}};
  }
};

bool is_float(const Tensor& x) {
  return x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16;
}

bool fits_tables(const LatentHeads& h) {
  const Tensor &cos = h.cos_BTr, &sin = h.sin_BTr;
  const auto rows = [&](int64_t dim) { return cos.size(dim) == 1 || cos.size(dim) == h.q_BTQ.size(dim); };
  constexpr uint64_t widest = 2 * kPackBytes;  // of float32 beside bfloat16
  return is_float(cos) && cos.device() == h.q_BTQ.device() && cos.scalar_type() == sin.scalar_type() &&
         cos.sizes() == sin.sizes() && cos.strides() == sin.strides() && cos.size(2) == h.k_rope_BTr.size(2) &&
         rows(0) && rows(1) && strides_in(cos, pack_of(h.q_BTQ)) && starts_at(cos, widest) &&
         starts_at(sin, widest);
}

}  // namespace

bool fits_latent_heads(const LatentHeads& h) {
  const Tensor &q = h.q_BTQ, &k_rope = h.k_rope_BTr;
  const bool runs = has_kernels(q) || (LatentHeadsOnCpu::active() && q.is_cpu() && is_float(q));
  if (!runs || k_rope.device() != q.device() || k_rope.scalar_type() != q.scalar_type()) return false;
  const int64_t pack = pack_of(q), rope = k_rope.size(2), nope = q.size(2) / h.N - rope;
  const int64_t numbers = q.size(0) * q.size(1) * h.N * (3 * nope + 3 * rope + h.value);
  return nope >= 0 && nope % pack == 0 && rope % (2 * pack) == 0 && h.value % pack == 0 &&
         numbers / pack < std::numeric_limits<int32_t>::max() && fits_tables(h);
}

AttendedHeads make_latent_heads(const LatentHeads& h) {
  const Tensor &q = h.q_BTQ, &kv = h.kv_BTK, &k_rope = h.k_rope_BTr;
  TORCH_CHECK(fits_latent_heads(h) && q.size(2) % h.N == 0 && kv.device() == q.device() &&
              kv.scalar_type() == q.scalar_type() && kv.sizes().slice(0, 2) == q.sizes().slice(0, 2) &&
              k_rope.sizes().slice(0, 2) == q.sizes().slice(0, 2) &&
              kv.size(2) == h.N * (q.size(2) / h.N - k_rope.size(2) + h.value));
  if (!torch::GradMode::is_enabled()) return made(h);
  const auto out =
      MakeLatentHeads::apply(q, kv, k_rope, h.value, h.cos_BTr, h.sin_BTr, h.N, static_cast<int64_t>(h.pairs));
  return {out[0], out[1], out[2]};
}

}  // namespace attnlab
