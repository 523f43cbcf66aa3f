#include "quantize/gptq.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/errors.h"
#include "kernels/parallel.h"

namespace attnlab {
namespace {

// The upper Cholesky factor of (H + damping · mean diagonal)⁻¹.
torch::Tensor inverse_factor(const torch::Tensor& hessian_II, double damping, double* used) {
  const auto mean = hessian_II.diagonal().mean();
  for (double share = damping;; share += std::max(damping, 0.01)) {
    auto damped_II = hessian_II.clone();
    damped_II.diagonal().add_(mean * share);
    const auto [lower_II, failed] = at::linalg_cholesky_ex(damped_II);
    if (failed.item<int>() == 0) {
      const auto [factor_II, failed_again] =
          at::linalg_cholesky_ex(torch::cholesky_inverse(lower_II), /*upper=*/true);
      if (failed_again.item<int>() == 0 && factor_II.isfinite().all().item<bool>()) {
        if (used) *used = share;
        return factor_II;
      }
    }
    if (share > 1)
      throw RunError("GPTQ: the Hessian of a matrix is not positive definite: its inputs are not finite");
  }
}

// What one pass over the columns needs, in the order in which they are gone through.
struct Columns {
  std::vector<int64_t> order;  // place → column of the matrix
  std::vector<int64_t> group;  // place → group
};

Columns columns_of(const torch::Tensor& diagonal_I, const GptqOptions& o) {
  const int64_t in = diagonal_I.size(0), group = columns_of_group(o.group_size, in);
  auto order_I = torch::arange(in, torch::kInt64);
  if (o.act_order) order_I = torch::argsort(diagonal_I, /*stable=*/true, 0, /*descending=*/true).contiguous();
  Columns columns{.order = {order_I.const_data_ptr<int64_t>(), order_I.const_data_ptr<int64_t>() + in},
                  .group = {}};
  for (int64_t i = 0; i < in; ++i)
    columns.group.push_back((o.act_order && o.static_groups ? columns.order[static_cast<size_t>(i)] : i) /
                            group);
  return columns;
}

// One block of columns, row by row: rounds a column and takes its error, over the factor's diagonal, from the
// columns behind it in the block.
struct Block {
  int64_t first, size;
  float top;            // 2^bits - 1
  const float* factor;  // U, row-major [I, I]
  int64_t in;
};

void quantise_row(const Block& block, const float* scale, const float* zero, float* w, float* error, float* q) {
  for (int64_t i = 0; i < block.size; ++i) {
    const float* factor = block.factor + (block.first + i) * block.in + block.first;
    q[i] = std::clamp(std::nearbyint(w[i] / scale[i]) + zero[i], 0.0F, block.top);
    const float e = (w[i] - scale[i] * (q[i] - zero[i])) / factor[i];
    for (int64_t j = i + 1; j < block.size; ++j) w[j] -= e * factor[j];
    error[i] = e;
  }
}

class GptqRun {
 public:
  GptqRun(const torch::Tensor& weight_OI, const torch::Tensor& hessian_II, const GptqOptions& o,
          const GridOptions& grid, double* damping_used)
      : o_(o), grid_(grid), w_OI_(weight_OI.to(torch::kCPU, torch::kFloat32).clone()) {
    const int64_t rows = w_OI_.size(0), in = w_OI_.size(1), groups = groups_of(o.group_size, in);
    scales_OC_ = torch::empty({rows, groups});
    zeros_OC_ = torch::empty({rows, groups});
    if (o.group_size == -1) set_group(0, w_OI_);  // of the weights as they came
    auto hessian = hessian_II.to(torch::kCPU, torch::kFloat64).clone();
    const auto unseen_I = hessian.diagonal() == 0;
    hessian.diagonal().masked_fill_(unseen_I, 1);
    w_OI_.masked_fill_(unseen_I.unsqueeze(0), 0);
    if (o.group_size != -1 && o.static_groups)
      for (int64_t c = 0; c < groups; ++c) set_group(c, group_in_order(c));
    columns_ = columns_of(hessian.diagonal(), o);
    const auto order_I = torch::tensor(columns_.order, torch::kInt64);
    w_OI_ = w_OI_.index_select(1, order_I).contiguous();
    factor_II_ =
        inverse_factor(hessian.index_select(0, order_I).index_select(1, order_I).to(hessian_II.device()),
                       o.damping, damping_used)
            .to(torch::kCPU, torch::kFloat32)
            .contiguous();
    q_OI_ = torch::empty_like(w_OI_);
  }

  QuantizedMatrix run() {
    const int64_t in = w_OI_.size(1);
    for (int64_t first = 0; first < in; first += o_.block) run_block(first, std::min(o_.block, in - first));
    const auto order_I = torch::tensor(columns_.order, torch::kInt64);
    const auto back_I = torch::empty_like(order_I).index_put_({order_I}, torch::arange(in, torch::kInt64));
    return {.ints_OI = q_OI_.index_select(1, back_I).to(torch::kUInt8),
            .scales_OC = scales_OC_,
            .zeros_OC = zeros_OC_,
            .g_idx_I = torch::tensor(columns_.group, torch::kInt64).index_select(0, back_I).to(torch::kInt32)};
  }

 private:
  torch::Tensor group_in_order(int64_t c) const {
    const int64_t columns = columns_of_group(o_.group_size, w_OI_.size(1));
    return w_OI_.slice(1, c * columns, (c + 1) * columns);
  }
  void set_group(int64_t c, const torch::Tensor& w_OC) {
    const QuantGrid grid = find_grid(w_OC, grid_);
    scales_OC_.select(1, c).copy_(grid.scale_O);
    zeros_OC_.select(1, c).copy_(grid.zero_O);
  }

  // Grids of the groups that start in the block, from the matrix before it.
  void find_groups(int64_t first, int64_t size) {
    if (o_.group_size == -1 || o_.static_groups) return;
    const int64_t columns = o_.group_size;
    for (int64_t c = (first + columns - 1) / columns; c * columns < first + size; ++c)
      set_group(c, group_in_order(c));
  }

  void run_block(int64_t first, int64_t size) {
    find_groups(first, size);
    const auto group_B = torch::tensor(columns_.group, torch::kInt64).narrow(0, first, size);
    const auto scale_OB = scales_OC_.index_select(1, group_B).contiguous();
    const auto zero_OB = zeros_OC_.index_select(1, group_B).contiguous();
    const int64_t in = w_OI_.size(1);
    auto w_OB = w_OI_.narrow(1, first, size).clone(torch::MemoryFormat::Contiguous);
    auto error_OB = torch::empty_like(w_OB), q_OB = torch::empty_like(w_OB);
    const Block block{.first = first,
                      .size = size,
                      .top = std::ldexp(1.0F, static_cast<int>(o_.bits)) - 1,
                      .factor = factor_II_.const_data_ptr<float>(),
                      .in = in};
    in_parallel(w_OB.size(0), 8, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        quantise_row(block, scale_OB.const_data_ptr<float>() + row * size,
                     zero_OB.const_data_ptr<float>() + row * size, w_OB.mutable_data_ptr<float>() + row * size,
                     error_OB.mutable_data_ptr<float>() + row * size,
                     q_OB.mutable_data_ptr<float>() + row * size);
    });
    q_OI_.narrow(1, first, size).copy_(q_OB);
    const int64_t behind = first + size;
    if (behind < in)
      w_OI_.narrow(1, behind, in - behind)
          .sub_(error_OB.matmul(factor_II_.narrow(0, first, size).narrow(1, behind, in - behind)));
  }

  GptqOptions o_;
  GridOptions grid_;
  torch::Tensor w_OI_, q_OI_, factor_II_, scales_OC_, zeros_OC_;
  Columns columns_;
};

}  // namespace

torch::Tensor dequantised(const QuantizedMatrix& matrix) {
  const auto group_I = matrix.g_idx_I.to(torch::kInt64);
  return matrix.scales_OC.index_select(1, group_I) *
         (matrix.ints_OI.to(torch::kFloat32) - matrix.zeros_OC.index_select(1, group_I));
}

torch::Tensor gptq_hessian(const torch::Tensor& moment_II, int64_t sequences) {
  return moment_II * (2.0 / static_cast<double>(sequences));
}

double half_trace_error(const torch::Tensor& weight, const torch::Tensor& other, const torch::Tensor& hessian) {
  const auto wide = torch::dtype(torch::kFloat64).device(hessian.device());
  const auto d = weight.to(wide) - other.to(wide);
  return 0.5 * (d.matmul(hessian.to(torch::kFloat64)) * d).sum().item<double>();
}

QuantizedMatrix round_to_nearest(const torch::Tensor& weight_OI, const GridOptions& options,
                                 int64_t group_size) {
  const auto w_OI = weight_OI.to(torch::kFloat32);
  const int64_t in = w_OI.size(1), columns = columns_of_group(group_size, in);
  std::vector<torch::Tensor> ints, scales, zeros;
  for (int64_t first = 0; first < in; first += columns) {
    const auto w_OC = w_OI.slice(1, first, first + columns);
    const QuantGrid grid = find_grid(w_OC, options);
    ints.push_back(quantise(w_OC, grid, options.bits).to(torch::kUInt8));
    scales.push_back(grid.scale_O);
    zeros.push_back(grid.zero_O);
  }
  const auto options_of_idx = torch::dtype(torch::kInt32).device(w_OI.device());
  return {.ints_OI = torch::cat(ints, 1),
          .scales_OC = torch::stack(scales, 1),
          .zeros_OC = torch::stack(zeros, 1),
          .g_idx_I = torch::arange(in, options_of_idx).floor_divide(columns)};
}

QuantizedMatrix gptq(const torch::Tensor& weight_OI, const torch::Tensor& hessian_II,
                     const GptqOptions& options, int64_t least_zero, double* damping_used) {
  const torch::NoGradGuard no_grad;
  GridOptions grid = options.grid();
  grid.least_zero = least_zero;
  return GptqRun(weight_OI, hessian_II, options, grid, damping_used).run();
}

}  // namespace attnlab
