// Sequences cut into parts, as a GPU takes RWKV's recurrences, against the recurrences in one piece.
#include "attention/wkv_parts.h"

#include "../reference/wkv_twin.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using Tensors = std::vector<torch::Tensor>;

constexpr int64_t kRows = 3, kHeads = 2, kWidth = 5;

torch::Tensor any(torch::IntArrayRef sizes) { return torch::randn(sizes, kDouble); }

// r, w, k, v, the state before, and a and b or the bonus.
Tensors inputs_of(bool delta, int64_t T) {
  const std::vector<int64_t> sizes{kRows, kHeads, T, kWidth};
  Tensors all{any(sizes), -any(sizes).exp(), any(sizes), any(sizes), any({kRows, kHeads, kWidth, kWidth})};
  if (!delta) return all.push_back(any({kHeads, kWidth})), all;
  const auto x = any(sizes), unit = x / x.norm(2, -1, true);
  all.push_back(-unit);
  all.push_back(unit * torch::rand(sizes, kDouble));
  return all;
}

WkvScan scan_from(const Tensors& in, bool delta) {
  if (delta)
    return scan_of(Wkv7{.r_BNTK = in[0],
                        .w_BNTK = in[1],
                        .k_BNTK = in[2],
                        .v_BNTV = in[3],
                        .a_BNTK = in[5],
                        .b_BNTK = in[6],
                        .ids_BT = {},
                        .state_BNKV = {}});
  return scan_of(Wkv6{.r_BNTK = in[0],
                      .k_BNTK = in[2],
                      .v_BNTV = in[3],
                      .w_BNTK = in[1],
                      .u_NK = in[5],
                      .ids_BT = {},
                      .state_BNKV = {}});
}

// o, the state behind, and the gradients of all inputs.
Tensors outcome(const Tensors& inputs, bool delta, const torch::Tensor& ids_BT, bool begun, int64_t parts) {
  Tensors leaves;
  for (const auto& input : inputs) leaves.push_back(input.clone().requires_grad_());
  const auto out =
      wkv_in_parts(scan_from(leaves, delta), ids_BT, begun ? leaves[4] : torch::Tensor(), parts, wkv_twin);
  (out.o_BNTV.cos().sum() + out.state_BNKV.sin().sum()).backward();
  Tensors all{out.o_BNTV.detach(), out.state_BNKV.detach()};
  for (const auto& leaf : leaves) all.push_back(leaf.grad().defined() ? leaf.grad() : torch::zeros_like(leaf));
  return all;
}

TEST_CASE("RWKV's recurrences in parts give those of the whole sequence, gradients included") {
  torch::manual_seed(9);
  const int64_t T = 37;
  auto starts = torch::zeros({kRows, T}, torch::kInt64);
  for (const int64_t t : {0, 13, 14, 30}) starts[1][t] = 1;  // at a part's start, inside and at an end
  starts[2][20] = 1;
  for (const bool delta : {false, true})
    for (const bool documents : {false, true})
      for (const bool begun : {false, true}) {
        const auto ids = documents ? starts.cumsum(1) : torch::Tensor();
        const Tensors inputs = inputs_of(delta, T);
        const Tensors expected = outcome(inputs, delta, ids, begun, 1);
        for (const int64_t parts : {2, 3, 5, 37}) {
          const Tensors found = outcome(inputs, delta, ids, begun, parts);
          for (size_t i = 0; i < expected.size(); ++i) {
            INFO("delta " << delta << ", documents " << documents << ", begun " << begun << ", parts " << parts
                          << ", tensor " << i);
            // As for chunks (wkv_test.cpp): sums of T terms of K products in two orders.
            const double size = std::max(1.0, expected[i].abs().max().item<double>());
            CHECK(close(found[i], expected[i], 2.2e-16 * static_cast<double>(40 * T + 200) * size));
          }
        }
      }
}

TEST_CASE("few heads are cut into parts of 512 tokens or more, many are not") {
  const auto parts = [](int64_t B, int64_t N, int64_t T) {
    WkvScan scan;
    scan.w_BNTK = torch::empty({B, N, T, 64});
    return wkv_parts(scan);
  };
  CHECK(parts(8, 14, 2048) == 1);
  CHECK(parts(1, 14, 16384) == 9);
  CHECK(parts(1, 14, 2047) == 3);
  CHECK(parts(1, 1, 511) == 1);
  CHECK(parts(64, 32, 4096) == 1);
}

}  // namespace
}  // namespace attnlab::test
