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

void LinearImpl::sort_columns() {
  if (!packing_) return;
  const auto sorted = attnlab::sort_columns(packed_, *packing_);
  packed_.qweight.set_data(sorted.qweight);
  packed_.order = sorted.order;
}

void LinearImpl::forget_order() { packed_.order = torch::Tensor(); }

bool LinearImpl::share_order(const LinearImpl& other) {
  const auto &mine = packed_.order, &theirs = other.packed_.order;
  if (!packing_ || packing_ != other.packing_ || mine.defined() != theirs.defined()) return false;
  if (!mine.defined() || mine.is_same(theirs))
    return !packing_->desc_act || packing_->group_size == -1 || mine.defined();
  if (mine.device() != theirs.device() || !torch::equal(mine, theirs)) return false;
  packed_.order = theirs;
  return true;
}

torch::Tensor LinearImpl::stored_words() const { return attnlab::stored_words(packed_, packing_->bits); }

torch::Tensor LinearImpl::packed_forward(const torch::Tensor& x) const {
  return packed_linear(x.to(product_type(x)), packed_, *packing_, bias);
}

torch::Tensor LinearImpl::matrix(torch::ScalarType dtype) const {
  return packing_ ? packed_weight(packed_, *packing_, dtype) : weight;
}

void LinearImpl::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  to(dtype, non_blocking);
  to(device, non_blocking);
}

void LinearImpl::to(torch::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  if (packed_.order.defined()) packed_.order = packed_.order.to(device, non_blocking);
}

void LinearImpl::to(torch::Dtype dtype, bool non_blocking) {
  if (!packing_) return Module::to(dtype, non_blocking);
  if (bias.defined()) bias.set_data(bias.to(dtype, non_blocking));
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) const {
  return add_and_norm(x, {}, plus_one_ ? weight + 1 : weight, eps_).normed;
}

}  // namespace attnlab
