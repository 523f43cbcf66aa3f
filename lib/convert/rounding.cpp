#include "convert/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace attnlab {
namespace {

// √n · eps: the relative error of a sum of n products.
double error_of_sums(const DecoderConfig& config, Precision precision) {
  const double eps = precision == Precision::float32 ? double{std::numeric_limits<float>::epsilon()}
                                                     : double{std::numeric_limits<c10::BFloat16>::epsilon()};
  return eps * std::sqrt(static_cast<double>(std::max(config.d_model, config.d_ff)));
}

// For the sums inside attention and the two models compared.
constexpr double kOfTwoModels = 4;

}  // namespace

double rounding_tolerance(const DecoderConfig& config, double largest_logit, Precision precision) {
  return kOfTwoModels * error_of_sums(config, precision) * static_cast<double>(config.n_layers + 1) *
         std::max(largest_logit, 1.0);
}

double measured_rounding(const ModelSource& source, const ConversionData& data, const LayerStream& base,
                         const ConversionProgress& progress) {
  const torch::NoGradGuard no_grad;
  const auto& config = source.config();
  const double error = error_of_sums(config, data.heldout_precision);
  auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  LayerStream nudged(source.form, data.heldout, source.embedding(), source.devices);
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    progress("measuring rounding", layer, config.n_layers);
    const std::vector<torch::Tensor> before = nudged.states();
    nudged.advance(layer, source.layer(layer), data.heldout_precision);
    std::vector<torch::Tensor> after;
    for (size_t i = 0; i < before.size(); ++i) {
      const auto& state = nudged.states()[i];
      const auto rms = (state - before[i]).square().mean(-1, /*keepdim=*/true).sqrt();
      after.push_back(state + error * rms * torch::randn(state.sizes(), random).to(state.device()));
    }
    nudged.set_states(after);
  }
  const OutputHead head(source.form, source.outer, source.devices, data.heldout_precision);
  return kOfTwoModels * compare({{head, base}, {head, nudged}}, data.heldout).at(0).max_difference;
}

}  // namespace attnlab
