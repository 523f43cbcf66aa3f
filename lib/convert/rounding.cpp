#include "convert/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quantize/packed_matrix.h"

namespace attnlab {
namespace {

double eps_of(Precision precision) {
  return precision == Precision::float32 ? double{std::numeric_limits<float>::epsilon()}
                                         : double{std::numeric_limits<c10::BFloat16>::epsilon()};
}

// √n · eps: the relative error of a sum of n products.
double error_of_sums(const DecoderConfig& config, Precision precision) {
  return eps_of(precision) * std::sqrt(static_cast<double>(std::max(config.d_model, config.d_ff)));
}

// For the sums inside attention and the two models compared.
constexpr double kOfTwoModels = 4;

}  // namespace

double rounding_tolerance(const DecoderConfig& config, double largest_logit, Precision precision) {
  return kOfTwoModels * error_of_sums(config, precision) * static_cast<double>(config.n_layers + 1) *
         std::max(largest_logit, 1.0);
}

namespace {

// Each number times 1 + error · a random one, the same on every device.
TensorMap nudged(const TensorMap& weights, double error, at::Generator& random) {
  TensorMap out;
  for (const auto& [name, weight] : weights)
    out[name] = is_packed_part(name)
                    ? weight
                    : weight * (1 + error * torch::randn(weight.sizes(), random).to(weight.device()));
  return out;
}

}  // namespace

RoundingProbe::RoundingProbe(const LayerStream& embedded, Precision precision)
    : plain_(embedded),
      nudged_(embedded),
      precision_(precision),
      random_(at::make_generator<at::CPUGeneratorImpl>(1)) {}

void RoundingProbe::advance(int64_t layer, const TensorMap& tensors) {
  const torch::NoGradGuard no_grad;
  const double error = error_of_sums(plain_.form().config, precision_);
  plain_.advance(layer, tensors, precision_);
  const std::vector<torch::Tensor> before = nudged_.states();
  nudged_.advance(layer, nudged(tensors, eps_of(precision_), random_), precision_);
  std::vector<torch::Tensor> after;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& state = nudged_.states()[i];
    const auto rms = (state - before[i]).square().mean(-1, /*keepdim=*/true).sqrt();
    after.push_back(state + error * rms * torch::randn(state.sizes(), random_).to(state.device()));
  }
  nudged_.set_states(after);
}

double RoundingProbe::result(const OutputHead& head, const TokenBatches& ids) const {
  return kOfTwoModels * compare({{head, plain_}, {head, nudged_}}, ids).at(0).max_difference;
}

}  // namespace attnlab
