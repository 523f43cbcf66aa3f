#include "attention/linear.h"

#include "attention/product_type.h"
#include "core/errors.h"
#include "kernels/fused.h"

namespace attnlab {

void LinearImpl::hold_packed(const MatrixPacking& packing) {
  ATTNLAB_CHECK(!packing_ && packing_problem(in_, out_).empty());
  packing_ = packing;
  parameters_.erase("weight");
  weight = torch::Tensor();
  const std::array<torch::Tensor*, 4> parts{&packed_.qweight, &packed_.qzeros, &packed_.scales, &packed_.g_idx};
  const auto device = ShapesOnly::active() ? torch::kMeta : torch::kCPU;
  for (size_t i = 0; const auto& part : packed_parts(packing, in_, out_)) {
    const auto dtype = part.integers ? torch::kInt32 : torch::kHalf;
    *parts[i++] = register_parameter(part.name, torch::empty(part.shape, torch::dtype(dtype).device(device)),
                                     /*requires_grad=*/false);
  }
}

torch::Tensor LinearImpl::packed_forward(const torch::Tensor& x) const {
  const auto y = packed_linear(x.to(product_type(x)), packed_, *packing_);
  return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

torch::Tensor LinearImpl::matrix(torch::ScalarType dtype) const {
  return packing_ ? packed_weight(packed_, *packing_, dtype) : weight;
}

void LinearImpl::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  to(dtype, non_blocking);
  Module::to(device, non_blocking);
}

void LinearImpl::to(torch::Dtype dtype, bool non_blocking) {
  if (!packing_) return Module::to(dtype, non_blocking);
  if (bias.defined()) bias.set_data(bias.to(dtype, non_blocking));
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) const {
  return add_and_norm(x, {}, plus_one_ ? weight + 1 : weight, eps_).normed;
}

}  // namespace attnlab
