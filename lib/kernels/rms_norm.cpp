#include <optional>

#include "kernels/cpu_kernels.h"
#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

#ifdef ATTNLAB_CUDA
bool fits_norm_kernel(const Tensor& x, const Tensor& weight) {
  return has_kernels(x) && cuda::fits_rms_norm(format_of(x), weight.numel());
}

const void* pointer_to(const Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }
void* place_for(const Tensor& x) { return x.defined() ? x.data_ptr() : nullptr; }

cuda::NormRows rows_of(const Tensor& x, double eps) {
  return {.rows = x.numel() / x.size(-1), .width = x.size(-1), .eps = static_cast<float>(eps)};
}

// Kernels read packs of 16 bytes; a view may start between two.
Tensor at_pack(const Tensor& x) { return x.defined() && !starts_at(x) ? x.clone() : x; }

void norm_on_gpu(const Tensor& x_in, const Tensor& added_in, const Tensor& weight_in, double eps,
                 NormOutputs& out) {
  const c10::cuda::CUDAGuard guard(x_in.device());
  const auto x = at_pack(x_in), added = at_pack(added_in), weight = at_pack(weight_in);
  C10_CUDA_CHECK(cuda::rms_norm(format_of(x), format_of(added.defined() ? added : x), rows_of(x, eps),
                                {pointer_to(x), pointer_to(added), pointer_to(weight)}, place_for(out.stream),
                                place_for(out.normed), out.r_R.data_ptr<float>(), stream_of(x)));
}

void norm_backward_on_gpu(const Tensor& dnormed_in, const Tensor& dstream_in, const Tensor& stream_in,
                          const Tensor& weight_in, const Tensor& r_R, NormGradients& out) {
  const c10::cuda::CUDAGuard guard(stream_in.device());
  const auto dnormed = at_pack(dnormed_in), dstream = at_pack(dstream_in), stream = at_pack(stream_in),
             weight = at_pack(weight_in);
  // Two blocks fit a multiprocessor.
  const int n_parts = 2 * at::cuda::getDeviceProperties(stream.device().index())->multiProcessorCount;
  const auto parts = out.dweight.defined() ? torch::empty({n_parts, weight.numel()}, r_R.options()) : Tensor();
  C10_CUDA_CHECK(cuda::rms_norm_backward(format_of(stream), rows_of(stream, 0),
                                         {pointer_to(dnormed), pointer_to(dstream), pointer_to(stream),
                                          pointer_to(weight), r_R.const_data_ptr<float>()},
                                         place_for(out.dx), place_for(out.dweight),
                                         static_cast<float*>(place_for(parts)), n_parts, stream_of(stream)));
}
#else
bool fits_norm_kernel(const Tensor&, const Tensor&) { return false; }
#endif

NormOutputs normed_of(const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
  NormOutputs out{.stream = added.defined() ? torch::empty_like(x) : Tensor(),
                  .normed = torch::empty_like(x),
                  .r_R = torch::empty({x.numel() / x.size(-1)}, x.options().dtype(torch::kFloat32))};
#ifdef ATTNLAB_CUDA
  if (x.is_cuda()) {
    norm_on_gpu(x, added, weight, eps, out);
    return out;
  }
#endif
  cpu::rms_norm(x, added, weight, eps, out);
  return out;
}

NormGradients gradients_of(const Tensor& dnormed, const Tensor& dstream, const Tensor& stream,
                           const Tensor& weight, const Tensor& r_R, bool of_stream, bool of_weight) {
  NormGradients out{.dx = of_stream ? torch::empty_like(stream) : Tensor(),
                    .dweight = of_weight ? torch::empty_like(weight) : Tensor()};
#ifdef ATTNLAB_CUDA
  if (stream.is_cuda()) {
    norm_backward_on_gpu(dnormed, dstream, stream, weight, r_R, out);
    return out;
  }
#endif
  cpu::rms_norm_backward(dnormed, dstream, stream, weight, r_R, out);
  return out;
}

Tensor in_rows(const Tensor& x) { return x.defined() ? x.contiguous() : x; }

// x, added, weight, eps → stream, normed. Where nothing is added the stream is x, which passes through so that
// both of its gradients arrive here.
class NormOfSum : public torch::autograd::Function<NormOfSum> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const std::optional<Tensor>& plus,
                               const Tensor& weight, double eps) {
    const auto added = in_rows(plus.value_or(Tensor()));
    const auto taken = x.contiguous();
    const auto out = normed_of(taken, added, weight, eps);
    context->save_for_backward({plus ? out.stream : taken, weight, out.r_R});
    if (plus) context->saved_data["added"] = static_cast<int64_t>(added.scalar_type());
    context->set_materialize_grads(false);
    return {plus ? out.stream : x, out.normed};
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const Tensor &stream = saved[0], &weight = saved[1], dstream = in_rows(upstream[0]);
    // Inputs are counted without an absent one.
    const auto added = context->saved_data.find("added");
    const bool is_sum = added != context->saved_data.end();
    const bool wants_x = context->needs_input_grad(0), wants_added = is_sum && context->needs_input_grad(1),
               wants_weight = context->needs_input_grad(is_sum ? 2 : 1);
    NormGradients out{.dx = dstream, .dweight = {}};
    if (upstream[1].defined())
      out = gradients_of(upstream[1].contiguous(), dstream, stream, weight, saved[2], wants_x || wants_added,
                         wants_weight);
    if (!wants_added || !out.dx.defined()) return {out.dx, {}, out.dweight, {}};
    return {out.dx, out.dx.to(static_cast<torch::ScalarType>(added->second.toInt())), out.dweight, {}};
  }
};

bool fits_norm(const Tensor& x, const Tensor& added, const Tensor& weight) {
  if (x.scalar_type() != weight.scalar_type() || !weight.is_contiguous()) return false;
  if (added.defined() && (added.sizes() != x.sizes() ||
                          !(added.scalar_type() == x.scalar_type() || added.scalar_type() == torch::kBFloat16)))
    return false;
  return cpu::has_loops(x) || fits_norm_kernel(x, weight);
}

}  // namespace

NormedStream add_and_norm(const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
  if (!fits_norm(x, added, weight)) {
    const auto stream = added.defined() ? x + added : x;
    return {stream, at::rms_norm(stream, weight.sizes(), weight, eps)};
  }
  if (!torch::GradMode::is_enabled()) {
    const auto out = normed_of(x.contiguous(), in_rows(added), weight, eps);
    return {added.defined() ? out.stream : x, out.normed};
  }
  const auto out =
      NormOfSum::apply(x, added.defined() ? std::optional<Tensor>(added) : std::nullopt, weight, eps);
  // A stream that needs no gradient is not to get one.
  return {added.defined() || x.requires_grad() ? out[0] : x, out[1]};
}

}  // namespace attnlab
