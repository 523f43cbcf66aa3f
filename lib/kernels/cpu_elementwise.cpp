#include <algorithm>

#include "kernels/cpu_kernels.h"
#include "kernels/cpu_vectors.h"
#include "kernels/parallel.h"

namespace attnlab::cpu {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 16384;

bool has_vectors(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat32 && vectors::loops();
}

Tensor gated(const Tensor& gate, const Tensor& up) {
  auto out = torch::empty_like(gate);
  const auto *g = gate.const_data_ptr<float>(), *u = up.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  in_parallel(gate.numel(), kGrain, [&](int64_t begin, int64_t end) {
    vectors::loops()->gated_silu(g + begin, u + begin, end - begin, to + begin);
  });
  return out;
}

class CpuGatedSilu : public torch::autograd::Function<CpuGatedSilu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& gate_in, const Tensor& up_in) {
    const auto gate = gate_in.contiguous(), up = up_in.contiguous();
    context->save_for_backward({gate, up});
    return gated(gate, up);
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto dout = upstream[0].contiguous();
    auto dgate = torch::empty_like(saved[0]), dup = torch::empty_like(saved[0]);
    const auto *gate = saved[0].const_data_ptr<float>(), *up = saved[1].const_data_ptr<float>(),
               *from = dout.const_data_ptr<float>();
    auto *to_gate = dgate.data_ptr<float>(), *to_up = dup.data_ptr<float>();
    in_parallel(dout.numel(), kGrain, [&](int64_t begin, int64_t end) {
      vectors::loops()->gated_silu_backward(gate + begin, up + begin, from + begin, end - begin,
                                            to_gate + begin, to_up + begin);
    });
    return {dgate, dup};
  }
};

}  // namespace

Tensor gated_silu(const Tensor& gate, const Tensor& up) {
  const bool fits = has_vectors(gate) && has_vectors(up) && gate.sizes() == up.sizes();
  if (!fits) return torch::silu(gate) * up;
  if (!torch::GradMode::is_enabled()) return gated(gate.contiguous(), up.contiguous());
  return CpuGatedSilu::apply(gate, up);
}

bool has_cross_entropy(const Tensor& logits_RV) { return has_vectors(logits_RV) && logits_RV.is_contiguous(); }

Tensor cross_entropy_in_place(Tensor& logits_RV, const Tensor& targets_R, bool gradient) {
  TORCH_CHECK(has_cross_entropy(logits_RV) && targets_R.is_contiguous() && targets_R.is_cpu() &&
              targets_R.scalar_type() == torch::kInt64 && targets_R.size(0) == logits_RV.size(0));
  const int64_t V = logits_RV.size(1);
  auto losses = torch::empty({logits_RV.size(0)}, logits_RV.options());
  const auto* targets = targets_R.const_data_ptr<int64_t>();
  auto *logits = logits_RV.data_ptr<float>(), *loss = losses.data_ptr<float>();
  in_parallel(logits_RV.size(0), std::max<int64_t>(1, kGrain / V), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      TORCH_CHECK_INDEX(targets[row] >= 0 && targets[row] < V, "target ", targets[row], " of ", V, " tokens");
      loss[row] = vectors::loops()->cross_entropy(logits + row * V, V, targets[row], gradient);
    }
  });
  return losses;
}

}  // namespace attnlab::cpu
