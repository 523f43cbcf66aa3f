#include "model/loss.h"

#include "core/errors.h"
#include "model/linear_cross_entropy.h"

namespace attnlab {
namespace {

torch::Tensor to_device(std::span<const int64_t> values, torch::Device device) {
  auto tensor = torch::empty({static_cast<int64_t>(values.size())},
                             torch::dtype(torch::kInt64).pinned_memory(device.is_cuda()));
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device, /*non_blocking=*/true);
}

}  // namespace

LossInput make_loss_input(std::span<const int64_t> ids, std::span<const int64_t> targets, int64_t rows,
                          int64_t columns, torch::Device device) {
  ATTNLAB_CHECK(ids.size() == targets.size() && static_cast<int64_t>(ids.size()) == rows * columns);
  std::vector<int64_t> positions, trained;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0) continue;
    positions.push_back(static_cast<int64_t>(i));
    trained.push_back(targets[i]);
  }
  return {.ids_BT = to_device(ids, device).view({rows, columns}),
          .positions_P = to_device(positions, device),
          .targets_P = to_device(trained, device)};
}

torch::Tensor summed_loss(Decoder& decoder, const LossInput& input) {
  const auto hidden_BTD = decoder.hidden(input.ids_BT);
  const auto chosen_PD = hidden_BTD.flatten(0, 1).index_select(0, input.positions_P);
  return linear_cross_entropy(chosen_PD, decoder.output_weight(), input.targets_P,
                              decoder.config().final_softcap);
}

}  // namespace attnlab
