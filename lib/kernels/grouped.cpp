#include "kernels/grouped.h"

#include <algorithm>

#ifdef ATTNLAB_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace attnlab {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool in_one_kernel(const Tensor& x) { return has_grouped_products(x.device(), x.scalar_type()); }

// Calls each(group, first row, rows).
template <class Each>
void for_groups(const Tensor& ends_E, const Each& each) {
  const auto ends = ends_E.to(torch::kCPU);
  int64_t first = 0;
  for (int64_t e = 0; e < ends.numel(); ++e) {
    const int64_t end = ends.const_data_ptr<int32_t>()[e];
    each(e, first, end - first);
    first = end;
  }
}

// [R, K] × [E, K, N] → [R, N].
Tensor product(const Tensor& x_RK, const Tensor& w_EKN, const Tensor& ends_E) {
  if (in_one_kernel(x_RK)) return at::_grouped_mm(x_RK, w_EKN, ends_E);
  const auto out_RN = torch::empty({x_RK.size(0), w_EKN.size(2)}, x_RK.options());
  for_groups(ends_E, [&](int64_t e, int64_t first, int64_t rows) {
    auto part = out_RN.narrow(0, first, rows);
    at::mm_out(part, x_RK.narrow(0, first, rows), w_EKN[e]);
  });
  return out_RN;
}

// aᵀ b of each group's rows: [R, N] and [R, K] → [E, N, K].
Tensor products_of_groups(const Tensor& a_RN, const Tensor& b_RK, const Tensor& ends_E) {
  if (in_one_kernel(a_RN)) return at::_grouped_mm(a_RN.t(), b_RK, ends_E);
  const auto out_ENK = torch::empty({ends_E.size(0), a_RN.size(1), b_RK.size(1)}, a_RN.options());
  for_groups(ends_E, [&](int64_t e, int64_t first, int64_t rows) {
    auto part = out_ENK[e];
    at::mm_out(part, a_RN.narrow(0, first, rows).t(), b_RK.narrow(0, first, rows));
  });
  return out_ENK;
}

bool are_side_by_side(const variable_list& tensors) {
  const Tensor& first = tensors.front();
  int64_t offset = first.storage_offset();
  return std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& each) {
    const bool next = each.is_contiguous() && each.scalar_type() == first.scalar_type() &&
                      each.sizes() == first.sizes() && each.storage_offset() == offset &&
                      each.storage().unsafeGetStorageImpl() == first.storage().unsafeGetStorageImpl();
    offset += each.numel();
    return next;
  });
}

Tensor stacked(const variable_list& weights, torch::ScalarType dtype) {
  const Tensor& first = weights.front();
  if (!are_side_by_side(weights)) return torch::stack(weights).to(dtype);
  const int64_t N = first.size(0), K = first.size(1);
  return first.detach().as_strided({std::ssize(weights), N, K}, {N * K, K, 1}).to(dtype);
}

class GroupedLinear : public torch::autograd::Function<GroupedLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x_RK, const Tensor& ends_E,
                        at::TensorList weights) {
    variable_list saved{x_RK, ends_E};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    return product(x_RK, stacked(weights.vec(), x_RK.scalar_type()).transpose(1, 2), ends_E);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const Tensor& x_RK = saved[0];
    const Tensor& ends_E = saved[1];
    const variable_list weights(saved.begin() + 2, saved.end());
    const auto dy_RN = upstream[0].contiguous();
    variable_list out(saved.size());
    if (x_RK.requires_grad()) out[0] = product(dy_RN, stacked(weights, x_RK.scalar_type()), ends_E);
    const auto trained = [](const Tensor& weight) { return weight.requires_grad(); };
    if (std::none_of(weights.begin(), weights.end(), trained)) return out;
    auto dw = products_of_groups(dy_RN, x_RK, ends_E).to(weights.front().scalar_type()).unbind(0);
    for (size_t e = 0; e < weights.size(); ++e)
      if (trained(weights[e])) out[2 + e] = std::move(dw[e]);
    return out;
  }
};

class SpreadRows : public torch::autograd::Function<SpreadRows> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x_MD, const Tensor& from_R,
                        const Tensor& places_R) {
    context->save_for_backward({places_R});
    context->saved_data["tokens"] = x_MD.size(0);
    return x_MD.index_select(0, from_R);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto places_R = context->get_saved_variables()[0];
    const int64_t M = context->saved_data["tokens"].toInt(), R = places_R.size(0);
    const auto in_order_RD = upstream[0].index_select(0, places_R);
    return {R == M ? in_order_RD : in_order_RD.unflatten(0, {M, R / M}).sum(1), {}, {}};
  }
};

class ChosenScores : public torch::autograd::Function<ChosenScores> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& scores_ME, const Tensor& places_Mk) {
    context->save_for_backward({places_Mk});
    context->saved_data["scores"] = scores_ME.size(1);
    return scores_ME.gather(1, places_Mk);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto places_Mk = context->get_saved_variables()[0];
    const auto all_E = torch::arange(context->saved_data["scores"].toInt(), places_Mk.options());
    const auto here_MkE = places_Mk.unsqueeze(-1) == all_E;
    return {(upstream[0].unsqueeze(-1) * here_MkE).sum(1), {}};
  }
};

bool owns_memory(const Tensor& tensor) {
  return tensor.is_contiguous() && tensor.storage_offset() == 0 && tensor.storage().nbytes() == tensor.nbytes();
}

}  // namespace

bool has_grouped_products([[maybe_unused]] torch::Device device, [[maybe_unused]] torch::ScalarType dtype) {
#ifdef ATTNLAB_CUDA
  if (!device.is_cuda() || dtype != torch::kBFloat16) return false;
  // Before Hopper torch copies the ends to the host; on Blackwell the gradients of empty groups are not zero
  // (pytorch issue 172439).
  return at::cuda::getDeviceProperties(device.index())->major == 9;
#else
  return false;
#endif
}

Tensor grouped_linear(const Tensor& x_RK, const Tensor& ends_E, const std::vector<Tensor>& weights) {
  if (torch::GradMode::is_enabled()) return GroupedLinear::apply(x_RK, ends_E, at::TensorList(weights));
  return product(x_RK, stacked(weights, x_RK.scalar_type()).transpose(1, 2), ends_E);
}

void stack_in_place(const std::vector<Tensor>& parameters) {
  if (are_side_by_side(parameters) || !std::all_of(parameters.begin(), parameters.end(), owns_memory)) return;
  const torch::NoGradGuard no_grad;
  const auto all = torch::stack(parameters).unbind(0);
  for (size_t i = 0; i < parameters.size(); ++i) Tensor(parameters[i]).set_data(all[i]);
}

Tensor chosen_scores(const Tensor& scores_ME, const Tensor& places_Mk) {
  return scores_ME.is_cuda() ? ChosenScores::apply(scores_ME, places_Mk) : scores_ME.gather(1, places_Mk);
}

Tensor spread_rows(const Tensor& x_MD, const Tensor& from_R, const Tensor& places_R) {
  return SpreadRows::apply(x_MD, from_R, places_R);
}

}  // namespace attnlab
