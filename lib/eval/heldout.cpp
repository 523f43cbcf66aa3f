#include "eval/heldout.h"

#include "model/loss.h"

namespace attnlab {

HeldoutLoss heldout_loss(Decoder& decoder, const std::vector<Batch>& batches, Precision precision) {
  const torch::NoGradGuard no_grad;
  const PrecisionScope scope(precision, decoder.device());
  HeldoutLoss result;
  auto sum = torch::zeros({}, torch::dtype(torch::kFloat64).device(decoder.device()));
  for (const auto& batch : batches) {
    if (batch.loss_tokens == 0) continue;
    const auto input = make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns,
                                       decoder.device(), batch.positions);
    sum += summed_loss(decoder, input).to(torch::kFloat64);
    result.tokens += batch.loss_tokens;
  }
  if (result.tokens > 0) result.loss = sum.item<double>() / static_cast<double>(result.tokens);
  return result;
}

}  // namespace attnlab
