#include "convert/rank_allocation.h"

#include <algorithm>
#include <queue>

#include "attention/gqa_weights.h"
#include "attention/spectral.h"
#include "convert/calibrated_layers.h"
#include "convert/layer_tensors.h"
#include "core/errors.h"

namespace attnlab {
namespace {

constexpr double kDamping = 1e-4;

struct RankCandidate {
  double share = 0;  // of its matrix's energy, of the direction that is next
  size_t matrix = 0;
  bool operator<(const RankCandidate& other) const {  // the queue's top is the largest
    return share != other.share ? share < other.share : matrix > other.matrix;
  }
};

std::vector<double> shares_of(const torch::Tensor& energies) {
  const double all = energies.sum().item<double>();
  const auto shares = (all > 0 ? energies / all : energies).contiguous();
  return {shares.data_ptr<double>(), shares.data_ptr<double>() + shares.numel()};
}

torch::Tensor energies_of(const torch::Tensor& moment) { return spectrum_of(moment).values.clamp_min(0).cpu(); }

// Mean of the diagonal of the inputs' second moment; a bias is one input more, that is always 1.
double mean_energy(const CalibrationInputs& inputs, bool with_bias) {
  const auto sums = inputs.sum([](const torch::Tensor& x_PD, const AddPart& add) {
    add("squares", x_PD.to(torch::kFloat64).square().sum(0));
  });
  const int64_t D = sums.at("squares").size(0);
  double sum = sums.at("squares").sum().item<double>();
  if (with_bias) sum += static_cast<double>(inputs.tokens());
  return sum / static_cast<double>(with_bias ? D + 1 : D);
}

}  // namespace

LayerRanks allocate_ranks(const std::vector<LayerEnergies>& layers, int64_t budget) {
  std::vector<std::vector<double>> shares;  // keys of layer 0, its values, keys of layer 1, …
  for (const auto& layer : layers) {
    shares.push_back(shares_of(layer.keys));
    shares.push_back(shares_of(layer.values));
  }
  std::vector<int64_t> ranks(shares.size(), 1);
  std::priority_queue<RankCandidate> queue;
  const auto offer = [&](size_t matrix) {
    const auto next = static_cast<size_t>(ranks[matrix]);
    if (next < shares[matrix].size()) queue.push({shares[matrix][next], matrix});
  };
  for (size_t matrix = 0; matrix < shares.size(); ++matrix) offer(matrix);
  for (auto left = budget - static_cast<int64_t>(shares.size()); left > 0; --left) {
    ATTNLAB_CHECK(!queue.empty());
    const size_t matrix = queue.top().matrix;
    queue.pop();
    ++ranks[matrix];
    offer(matrix);
  }
  LayerRanks out;
  for (size_t matrix = 0; matrix < ranks.size(); ++matrix)
    (matrix % 2 == 0 ? out.keys : out.values).push_back(ranks[matrix]);
  return out;
}

torch::Tensor damped_moment(const CalibrationInputs* inputs, const torch::Tensor& weight,
                            const torch::Tensor& bias) {
  const auto white = white_moment(weight, bias);
  if (!inputs) return white;
  return inputs->second_moment(weight, bias) + kDamping * mean_energy(*inputs, bias.defined()) * white;
}

LayerRanks choose_ranks(const ModelSource& source, const Care::Config& config,
                        const std::vector<int64_t>& layers, const ConversionData& data,
                        const ConversionProgress& progress) {
  std::vector<LayerEnergies> energies;
  CalibratedPass pass{.what = "choosing ranks"};
  if (config.covariance) pass.text = data.calibration;
  visit_layers(source, pass, progress,
               [&](int64_t layer, const TensorMap& tensors, const CalibrationInputs* inputs) {
                 if (std::find(layers.begin(), layers.end(), layer) == layers.end()) return;
                 const GqaWeights gqa = gqa_weights(mixer_of(tensors));
                 energies.push_back({.keys = energies_of(damped_moment(inputs, gqa.k_weight, gqa.k_bias)),
                                     .values = energies_of(damped_moment(inputs, gqa.v_weight, gqa.v_bias))});
               });
  const LayerRanks chosen = allocate_ranks(energies, 2 * static_cast<int64_t>(layers.size()) * *config.rank);
  const auto all = static_cast<size_t>(source.config().n_layers);
  LayerRanks ranks(std::vector<int64_t>(all, *config.rank), std::vector<int64_t>(all, *config.rank));
  for (size_t i = 0; i < layers.size(); ++i) {
    ranks.keys[static_cast<size_t>(layers[i])] = chosen.keys[i];
    ranks.values[static_cast<size_t>(layers[i])] = chosen.values[i];
  }
  return ranks;
}

}  // namespace attnlab
