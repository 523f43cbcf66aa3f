#include "../reference/scan_twin.h"

#include <algorithm>
#include <vector>

namespace attnlab::test {

using torch::Tensor;

ScannedParts scan_twin(const ScanParts& scan) {
  const int64_t N = scan.A_NPS.size(0), T = scan.step_BNTP.size(2);
  const auto of_heads = [&](const Tensor& x_BGTx) { return x_BGTx.repeat_interleave(N / x_BGTx.size(1), 1); };
  // By unbind, whose gradient is written once; that of a selected token is a tensor of all tokens.
  const auto x = of_heads(scan.x_BGTP).unbind(2), B = of_heads(scan.B_BGTS).unbind(2),
             step = (scan.raw_step ? torch::softplus(scan.step_BNTP) : scan.step_BNTP).unbind(2),
             C = scan.C_BNTS.unbind(2);
  const auto none = torch::zeros_like(scan.A_NPS).expand({scan.step_BNTP.size(0), -1, -1, -1});
  std::vector<Tensor> outputs, ends;
  for (int64_t part = 0; part < scan.parts; ++part) {
    Tensor h_BNPS = scan.first_BNpPS.defined() ? scan.first_BNpPS.select(2, part) : none;
    for (int64_t t = part * scan.length; t < std::min(T, (part + 1) * scan.length); ++t) {
      const auto i = static_cast<size_t>(t);
      if (scan.begins_BT.defined())
        h_BNPS = h_BNPS.masked_fill(scan.begins_BT.select(1, t).view({-1, 1, 1, 1}), 0);
      h_BNPS = (step[i].unsqueeze(-1) * scan.A_NPS).exp() * h_BNPS +
               (step[i] * x[i]).unsqueeze(-1) * B[i].unsqueeze(-2);
      auto y_BNP = (h_BNPS * C[i].unsqueeze(-2)).sum(-1);
      if (scan.D_NP.defined()) y_BNP = y_BNP + scan.D_NP * x[i];
      outputs.push_back(y_BNP);
    }
    ends.push_back(h_BNPS);
  }
  return {.y_BNTP = scan.wants_y ? torch::stack(outputs, 2) : Tensor(), .last_BNpPS = torch::stack(ends, 2)};
}

}  // namespace attnlab::test
