#include "model/sampling.h"

namespace attnlab {

torch::Tensor choose_tokens(const torch::Tensor& logits_BV, const SamplingOptions& options,
                            const torch::Tensor& uniforms_B) {
  if (options.temperature <= 0) return logits_BV.argmax(-1);
  const auto scaled = logits_BV.to(torch::kFloat32) / options.temperature;
  auto [logits, ids] = scaled.sort(/*stable=*/true, -1, /*descending=*/true);
  if (options.top_k > 0 && options.top_k < logits.size(1)) logits = logits.narrow(1, 0, options.top_k);
  auto shares = torch::softmax(logits, -1);
  if (options.top_p < 1) {
    const auto before = shares.cumsum(-1) - shares;
    // The likeliest token stays, however small top_p is.
    auto kept = before < options.top_p;
    kept.select(1, 0).fill_(true);
    shares = shares * kept;
  }
  const auto cumulative = shares.cumsum(-1);
  const auto target =
      uniforms_B.to(torch::kFloat32).unsqueeze(1) * cumulative.narrow(1, cumulative.size(1) - 1, 1);
  const auto last = (shares > 0).sum(-1, true) - 1;  // rounding must not lead past the last kept token
  const auto place = torch::minimum((cumulative <= target).sum(-1, true), last);
  return ids.gather(1, place).squeeze(1);
}

}  // namespace attnlab
