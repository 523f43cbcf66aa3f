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

// The length of each position's document: it ends where the next one begins, or the row ends.
std::vector<int64_t> document_lengths(std::span<const int64_t> positions, int64_t columns) {
  std::vector<int64_t> lengths(positions.begin(), positions.end());
  for (int64_t i = static_cast<int64_t>(positions.size()) - 1; i >= 0; --i) {
    const auto at = static_cast<size_t>(i);
    const bool last = (i + 1) % columns == 0 || positions[at + 1] == 0;
    lengths[at] = last ? positions[at] + 1 : lengths[at + 1];
  }
  return lengths;
}

}  // namespace

LossInput make_loss_input(std::span<const int64_t> ids, std::span<const int64_t> targets, int64_t rows,
                          int64_t columns, torch::Device device, std::span<const int64_t> document_positions) {
  ATTNLAB_CHECK(ids.size() == targets.size() && static_cast<int64_t>(ids.size()) == rows * columns);
  std::vector<int64_t> positions, trained;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0) continue;
    positions.push_back(static_cast<int64_t>(i));
    trained.push_back(targets[i]);
  }
  LossInput input{.ids_BT = to_device(ids, device).view({rows, columns}),
                  .positions_P = to_device(positions, device),
                  .targets_P = to_device(trained, device)};
  if (document_positions.empty()) return input;
  ATTNLAB_CHECK(document_positions.size() == ids.size());
  input.document_positions_BT = to_device(document_positions, device).view({rows, columns});
  input.document_lengths_BT =
      to_device(document_lengths(document_positions, columns), device).view({rows, columns});
  return input;
}

torch::Tensor target_states(Decoder& decoder, const LossInput& input, LayerTaps* taps) {
  const auto hidden_BTD =
      decoder.hidden(input.ids_BT, {.sequence = {.document_positions_BT = input.document_positions_BT,
                                                 .document_lengths_BT = input.document_lengths_BT},
                                    .taps = taps});
  return hidden_BTD.flatten(0, 1).index_select(0, input.positions_P);
}

torch::Tensor summed_loss(Decoder& decoder, const LossInput& input) {
  return linear_cross_entropy(target_states(decoder, input), decoder.output_weight(), input.targets_P,
                              decoder.config().final_softcap);
}

}  // namespace attnlab
