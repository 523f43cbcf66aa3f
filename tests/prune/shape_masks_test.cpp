// Expected parameters and their constraints.
#include "prune/shape_masks.h"

#include <ATen/CPUGeneratorImpl.h>

#include "catch.h"
#include "prune/constraints.h"

namespace attnlab::test {
namespace {

const PrunedShape kShape{
    .d_model = 24, .n_layers = 3, .n_heads = 6, .n_kv_heads = 2, .head_dim = 8, .d_ff = 40};

// α of masks that stay (5) and go (-9) for sure, but for the edge of a millionth.
torch::Tensor sure(std::vector<int64_t> sizes, int64_t kept) {
  auto alpha = torch::full(sizes, -40.0);
  alpha.slice(-1, 0, kept).fill_(40.0);
  return alpha;
}

TEST_CASE("expected parameters of sure masks are those of the shape that is left") {
  const MaskParameters masks{{MaskKind::hidden, sure({24}, 20)},
                             {MaskKind::kv_head, sure({3, 2}, 1)},
                             {MaskKind::intermediate, sure({3, 40}, 16)},
                             {MaskKind::layer, sure({3}, 2)}};
  // 2 layers; queries and output of 3 heads, keys and values of 1, 16 columns in three matrices.
  const double left = 2 * (20.0 * (2 * 3 + 2 * 1) * 8 + 3 * 20.0 * 16);
  CHECK(expected_parameters(kShape, masks).item<double>() == Approx(left).epsilon(1e-4));
  CHECK(kShape.prunable() == 3 * (24.0 * (2 * 6 + 2 * 2) * 8 + 3 * 24 * 40));
  CHECK(expected_parameters(kShape, {}).item<double>() == Approx(kShape.prunable()));
}

TEST_CASE("a head's own mask counts for a head and its share of keys and values") {
  PrunedShape mha = kShape;
  mha.n_kv_heads = 6;
  const MaskParameters masks{{MaskKind::head, sure({3, 6}, 2)}, {MaskKind::mlp, sure({3}, 0)}};
  CHECK(expected_parameters(mha, masks).item<double>() == Approx(3 * 24.0 * 4 * 2 * 8).epsilon(1e-4));
}

TEST_CASE("constraints warm up, are zero at their targets, and pull masks the right way") {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  auto masks = start_masks(kShape, {MaskKind::kv_head, MaskKind::intermediate}, generator);
  Constraints constraints(
      kShape, {.targets = {{MaskKind::kv_head, 1}, {MaskKind::intermediate, 30}}, .warm_up = 10}, masks);
  CHECK(constraints.target(MaskKind::kv_head, 0) == 0);
  CHECK(constraints.target(MaskKind::kv_head, 5) == Approx(0.25));
  CHECK(constraints.target(MaskKind::kv_head, 99) == Approx(0.5));
  CHECK(constraints.target(MaskKind::intermediate, 10) == Approx(0.25));
  CHECK(constraints.loss(masks, 10).item<double>() == 0);  // multipliers start at 0
  auto& pair = constraints.multipliers().at(MaskKind::kv_head);
  constraints.loss(masks, 10).backward();
  CHECK(pair.linear.grad().item<double>() < 0);  // too little is masked: λ goes down
  CHECK(pair.square.grad().item<double>() > 0);
  {
    const torch::NoGradGuard no_grad;
    pair.linear.fill_(-1);
    pair.square.fill_(1);
  }
  constraints.loss(masks, 10).backward();
  // Less of α lowers the loss.
  CHECK((masks.at(MaskKind::kv_head).grad() > 0).all().item<bool>());
  CHECK(masks.at(MaskKind::intermediate).grad().abs().max().item<double>() == 0);
}

TEST_CASE("without targets one pair holds the share of all parameters") {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const auto masks = start_masks(kShape, {MaskKind::kv_head}, generator);
  Constraints constraints(kShape, {.target_sparsity = 0.4, .start_sparsity = 0.1, .warm_up = 4}, masks);
  CHECK(constraints.multipliers().size() == 1);
  CHECK(constraints.target(std::nullopt, 2) == Approx(0.25));
  CHECK(constraints.overall_sparsity(masks).item<double>() > 0);
  CHECK(constraints.overall_sparsity(masks).item<double>() < 0.01);
}

}  // namespace
}  // namespace attnlab::test
