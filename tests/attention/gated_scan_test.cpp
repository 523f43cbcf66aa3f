// The chunked recurrence of linear attention and Mamba-2 against the recurrence itself, token by token.
#include "attention/gated_scan.h"

#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

struct Recurrence {
  torch::Tensor o_BGMTP, state_BGFP;
};

// S = e^g S + k vᵀ, o = Sᵀ q; where a document begins S is 0 before.
Recurrence in_steps(const GatedScan& scan) {
  const int64_t T = scan.k_BGTF.size(2);
  auto state =
      scan.state_BGFP.defined()
          ? scan.state_BGFP
          : torch::einsum("bgf,bgp->bgfp", {scan.k_BGTF.select(2, 0) * 0, scan.v_BGTP.select(2, 0) * 0});
  std::vector<torch::Tensor> outputs;
  int64_t t = 0;
  torch::Tensor id = scan.ids_BT.defined() ? torch::zeros_like(scan.ids_BT.select(1, 0)) : torch::Tensor();
  for (; t < T; ++t) {
    if (scan.ids_BT.defined()) {
      const auto now = scan.ids_BT.select(1, t);
      state = state * (now == id).to(state.dtype()).view({-1, 1, 1, 1});
      id = now;
    }
    if (scan.log_decay_BGT.defined())
      state = state * scan.log_decay_BGT.select(2, t).exp().unsqueeze(-1).unsqueeze(-1);
    state = state + torch::einsum("bgf,bgp->bgfp", {scan.k_BGTF.select(2, t), scan.v_BGTP.select(2, t)});
    outputs.push_back(torch::einsum("bgmf,bgfp->bgmp", {scan.q_BGMTF.select(3, t), state}));
  }
  return {torch::stack(outputs, 3), state};
}

// Two documents in row 0, three in row 1; one begins with the pass, and one within another's chunk.
torch::Tensor document_numbers(int64_t B, int64_t T) {
  auto starts = torch::zeros({B, T}, torch::kInt64);
  starts[0][T / 3] = 1;
  for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T})
    if (B > 1) starts[1][t] = 1;
  return starts.cumsum(1);
}

GatedScan random_scan(int64_t T, bool decays, bool documents, bool state) {
  torch::manual_seed(static_cast<uint64_t>(T));
  const int64_t B = 3, G = 2, M = 3, F = 5, P = 4;
  GatedScan scan{.q_BGMTF = torch::randn({B, G, M, T, F}, kDouble),
                 .k_BGTF = torch::randn({B, G, T, F}, kDouble),
                 .v_BGTP = torch::randn({B, G, T, P}, kDouble),
                 .log_decay_BGT = {},
                 .ids_BT = {},
                 .state_BGFP = {}};
  // From hardly at all to a factor e⁻⁹ a token.
  if (decays) scan.log_decay_BGT = -(2 * torch::randn({B, G, T}, kDouble)).exp().clamp_max(9);
  if (documents) scan.ids_BT = document_numbers(B, T);
  if (state) scan.state_BGFP = torch::randn({B, G, F, P}, kDouble);
  return scan;
}

std::vector<torch::Tensor*> inputs_of(GatedScan& scan) {
  return {&scan.q_BGMTF, &scan.k_BGTF, &scan.v_BGTP, &scan.log_decay_BGT, &scan.state_BGFP};
}

TEST_CASE("chunks of any length give the recurrence's outputs, states and gradients") {
  for (const int64_t T : {1, 2, 63, 111})
    for (const bool decays : {false, true})
      for (const bool documents : {false, true})
        for (const bool begun : {false, true}) {
          const GatedScan scan = random_scan(T, decays, documents, begun);
          std::vector<torch::Tensor> leaves;
          const auto run = [&](const std::function<Recurrence(const GatedScan&)>& call) {
            GatedScan own = scan;
            leaves.clear();
            for (auto* input : inputs_of(own)) {
              if (!input->defined()) continue;
              *input = input->detach().clone().requires_grad_();
              leaves.push_back(*input);
            }
            const auto found = call(own);
            (found.o_BGMTP.cos().sum() + found.state_BGFP.sin().sum()).backward();
            return found;
          };
          const auto expected = run(in_steps);
          std::vector<torch::Tensor> gradients;
          for (const auto& leaf : leaves) gradients.push_back(leaf.grad());
          for (const int64_t L : {1, 2, 5, 64, 200}) {
            INFO("T " << T << ", L " << L << ", decays " << decays << ", documents " << documents << ", begun "
                      << begun);
            const auto found = run([&](const GatedScan& own) {
              const auto out = gated_scan(own, L);
              return Recurrence{out.o_BGMTP, out.state_BGFP};
            });
            // Sums of T terms in two orders, and exponentials of sums of T decays.
            const auto bound = [&](const torch::Tensor& x) {
              return 2.2e-16 * static_cast<double>(8 * T + 32) * x.abs().max().item<double>();
            };
            CHECK(close(found.o_BGMTP, expected.o_BGMTP, bound(expected.o_BGMTP)));
            CHECK(close(found.state_BGFP, expected.state_BGFP, bound(expected.state_BGFP)));
            for (size_t i = 0; i < leaves.size(); ++i) {
              // A state of a document that is over has no gradient.
              const auto gradient =
                  leaves[i].grad().defined() ? leaves[i].grad() : torch::zeros_like(leaves[i]);
              CHECK(close(gradient, gradients[i],
                          4 * bound(gradients[i].abs().max() + expected.o_BGMTP.abs().max())));
            }
          }
        }
}

TEST_CASE("many chunks are carried on as few are") {
  // 150 chunks of 2: five groups of 32.
  const GatedScan scan = random_scan(300, true, true, true);
  const auto expected = in_steps(scan);
  const auto found = gated_scan(scan, 2);
  const double bound = 2.2e-16 * 3000 * expected.o_BGMTP.abs().max().item<double>();
  CHECK(close(found.o_BGMTP, expected.o_BGMTP, bound));
  CHECK(close(found.state_BGFP, expected.state_BGFP, bound));
}

TEST_CASE("groups of groups of chunks are carried on, documents apart") {
  // 1100 chunks: 35 groups, which are two groups themselves.
  const GatedScan scan = random_scan(1100, true, true, true);
  const auto expected = in_steps(scan);
  const auto found = gated_scan(scan, 1);
  const double bound = 2.2e-16 * 11000 * expected.o_BGMTP.abs().max().item<double>();
  CHECK(close(found.o_BGMTP, expected.o_BGMTP, bound));
  CHECK(close(found.state_BGFP, expected.state_BGFP, bound));
}

TEST_CASE("a decay that forgets all poisons neither outputs nor gradients") {
  GatedScan scan = random_scan(63, true, true, true);
  scan.log_decay_BGT = torch::full_like(scan.log_decay_BGT, -200).to(torch::kFloat32).requires_grad_();
  for (auto* input : {&scan.q_BGMTF, &scan.k_BGTF, &scan.v_BGTP, &scan.state_BGFP})
    *input = input->to(torch::kFloat32);
  const auto found = gated_scan(scan, 16);
  found.o_BGMTP.sum().backward();
  CHECK(found.o_BGMTP.isfinite().all().item<bool>());
  CHECK(scan.log_decay_BGT.grad().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace attnlab::test
