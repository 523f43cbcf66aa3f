#include "eval/heldout.h"

#include <span>

#include "model/loss.h"

namespace attnlab {

HeldoutLoss heldout_loss(Decoder& decoder, const std::vector<Batch>& batches, Precision precision,
                         World& world) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::dtype(torch::kFloat64).device(decoder.device());
  auto sums = torch::zeros({static_cast<int64_t>(batches.size())}, options);
  HeldoutLoss result;
  world.all_do([&] {
    const PrecisionScope scope(precision, decoder.device());
    for (size_t i = 0; i < batches.size(); ++i) {
      const Batch& batch = batches[i];
      result.tokens += batch.loss_tokens;
      if (batch.loss_tokens == 0 || static_cast<int64_t>(i) % world.size() != world.rank()) continue;
      const auto input = make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns,
                                         decoder.device(), batch.positions);
      sums[static_cast<int64_t>(i)] = summed_loss(decoder, input).to(torch::kFloat64);
    }
    return std::string();
  });
  if (result.tokens == 0) return result;
  // One behind the other, as they come: the bits do not depend on who computed them.
  const auto all = world.sum_small(sums).to(torch::kCPU);
  for (const double sum : std::span(all.const_data_ptr<double>(), batches.size())) result.loss += sum;
  result.loss /= static_cast<double>(result.tokens);
  return result;
}

}  // namespace attnlab
