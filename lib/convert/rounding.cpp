#include "convert/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace attnlab {
namespace {

// √n · eps: the relative error of a sum of n products.
double error_of_sums(const DecoderConfig& config) {
  const double eps = std::numeric_limits<float>::epsilon();
  return eps * std::sqrt(static_cast<double>(std::max(config.d_model, config.d_ff)));
}

// For the sums inside attention and the two models compared.
constexpr double kOfTwoModels = 4;

}  // namespace

double rounding_tolerance(const DecoderConfig& config, double largest_logit) {
  return kOfTwoModels * error_of_sums(config) * static_cast<double>(config.n_layers + 1) *
         std::max(largest_logit, 1.0);
}

double measured_rounding(const ModelSource& source, const TokenBatches& heldout, const HeadedStream& base,
                         const ConversionProgress& progress) {
  const torch::NoGradGuard no_grad;
  const auto& config = source.config();
  const double error = error_of_sums(config);
  auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  LayerStream nudged(source.form, heldout, source.embedding(), source.devices);
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    progress("measuring rounding", layer, config.n_layers);
    const std::vector<torch::Tensor> before = nudged.states();
    nudged.advance(layer, source.layer(layer));
    std::vector<torch::Tensor> after;
    for (size_t i = 0; i < before.size(); ++i) {
      const auto& state = nudged.states()[i];
      const auto rms = (state - before[i]).square().mean(-1, /*keepdim=*/true).sqrt();
      after.push_back(state + error * rms * torch::randn(state.sizes(), random).to(state.device()));
    }
    nudged.set_states(after);
  }
  return kOfTwoModels * compare(base, {base.head, nudged}, heldout).max_logit_difference;
}

}  // namespace attnlab
