#include "quantize/grid.h"

#include <cmath>
#include <limits>

namespace attnlab {
namespace {

torch::Tensor columns(const torch::Tensor& x_O) { return x_O.unsqueeze(1); }

// The range with the least error of those that are shorter by hundredths.
void search(const torch::Tensor& w_OC, const torch::Tensor& low_O, const torch::Tensor& high_O,
            const GridOptions& options, QuantGrid& grid) {
  constexpr int steps = 100, tried = 80;
  constexpr double norm = 2.4;
  const double top = std::ldexp(1.0, static_cast<int>(options.bits)) - 1;
  auto best_O = torch::full_like(grid.scale_O, std::numeric_limits<float>::infinity());
  for (int i = 0; i < tried; ++i) {
    const double share = 1 - static_cast<double>(i) / steps;
    QuantGrid shorter{.scale_O = (high_O * share - low_O * share) / top, .zero_O = grid.zero_O};
    if (!options.sym) shorter.zero_O = torch::round(-(low_O * share) / shorter.scale_O);
    const auto error_O =
        (dequantise(quantise(w_OC, shorter, options.bits), shorter) - w_OC).abs().pow(norm).sum(1);
    const auto better_O = error_O < best_O;
    best_O = torch::where(better_O, error_O, best_O);
    grid.scale_O = torch::where(better_O, shorter.scale_O, grid.scale_O);
    grid.zero_O = torch::where(better_O, shorter.zero_O, grid.zero_O);
  }
}

}  // namespace

QuantGrid find_grid(const torch::Tensor& w_OC, const GridOptions& options) {
  const double top = std::ldexp(1.0, static_cast<int>(options.bits)) - 1;
  auto low_O = w_OC.amin(1).clamp_max(0), high_O = w_OC.amax(1).clamp_min(0);
  if (options.sym) {
    high_O = torch::maximum(low_O.abs(), high_O);
    low_O = options.halve_nonnegative ? torch::where(low_O < 0, -high_O, low_O) : -high_O;
  }
  const auto empty_O = (low_O == 0) & (high_O == 0);
  low_O = low_O.masked_fill(empty_O, -1);
  high_O = high_O.masked_fill(empty_O, 1);
  QuantGrid grid{.scale_O = (high_O - low_O) / top, .zero_O = {}};
  grid.zero_O =
      options.sym ? torch::full_like(grid.scale_O, (top + 1) / 2) : torch::round(-low_O / grid.scale_O);
  if (options.mse) search(w_OC, low_O, high_O, options, grid);
  if (options.least_zero > 0) grid.zero_O = grid.zero_O.clamp_min(options.least_zero);
  return grid;
}

torch::Tensor quantise(const torch::Tensor& w_OC, const QuantGrid& grid, int64_t bits) {
  const double top = std::ldexp(1.0, static_cast<int>(bits)) - 1;
  return (torch::round(w_OC / columns(grid.scale_O)) + columns(grid.zero_O)).clamp(0, top);
}

torch::Tensor dequantise(const torch::Tensor& q_OC, const QuantGrid& grid) {
  return columns(grid.scale_O) * (q_OC - columns(grid.zero_O));
}

}  // namespace attnlab
