// X-EcoMLA's start: what it takes over, what it cuts, and what it says it can't.
#include "attention/x_ecomla.h"

#include "attention/gqa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

// All tokens at position 0: nothing turns.
Tokens unturned(Tokens input, int64_t width) {
  const auto places = torch::zeros({1, input.x_BTD.size(1)}, torch::kInt64);
  input.tables() = rotary_tables(places, width, 10000.0, input.x_BTD.scalar_type());
  return input;
}

TEST_CASE("x_ecomla: where nothing turns and one KV head is shared, all directions are GQA") {
  for (const auto& size : odd_sizes())
    for (const int64_t q_rank : {int64_t{0}, int64_t{-1}}) {
      if (size.shape.n_kv_heads != 1) continue;
      INFO(size.name << ", q_lora_rank " << q_rank);
      const int64_t H = size.shape.head_dim;
      const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
      const auto input = random_input(size, kDouble, 22);
      const auto expected = gqa->forward(unturned(input, H));
      XEcomla::Config config;
      if (q_rank == 0) config.q_lora_rank = 0;
      const int64_t rope = XEcomla::turning_dim(size.shape, config, H);
      const auto found = converted(*gqa, config)->forward(unturned(input, rope));
      // Two products more than the chain has, and two sides that round independently.
      CHECK(close(found, expected, 8 * tolerance(size, kDouble, expected)));
      XEcomla::Config cut = config;
      cut.kv_lora_rank = XEcomla::latent_rank(size.shape, config) - 1;
      CHECK_FALSE(close(converted(*gqa, cut)->forward(unturned(input, rope)), expected,
                        8 * tolerance(size, kDouble, expected)));
    }
}

// ‖A - B‖² in Frobenius' norm.
double squared_distance(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).square().sum().item<double>();
}

TEST_CASE("x_ecomla: what a cut loses of the queries is the discarded singular values") {
  torch::manual_seed(4);
  const AttentionShape shape{10, 4, 2, 6};
  const auto random = [](int64_t rows, int64_t columns) { return torch::randn({rows, columns}, kDouble); };
  const GqaWeights gqa{.q_weight = random(24, 10),
                       .k_weight = random(12, 10),
                       .v_weight = random(12, 10),
                       .o_weight = random(10, 24)};
  const XEcomla::Config config{.q_lora_rank = 7, .kv_lora_rank = 6, .qk_rope_head_dim = 2};
  const auto tensors = XEcomla::from_gqa(shape, config, gqa);
  const auto queries = torch::matmul(tensors.at("q_b_proj.weight"), tensors.at("q_a_proj.weight"));
  const auto lost = std::get<1>(torch::svd(gqa.q_weight)).narrow(0, 7, 3).square().sum().item<double>();
  CHECK(squared_distance(queries, gqa.q_weight) == Approx(lost).epsilon(1e-10));
  // Rows of the shared rotary key: the mean over KV heads of the last two.
  const auto turning = tensors.at("kv_a_proj_with_mqa.weight").narrow(0, 6, 2);
  const auto keys = gqa.k_weight.view({2, 6, 10});
  CHECK(squared_distance(turning, (keys[0].narrow(0, 4, 2) + keys[1].narrow(0, 4, 2)) / 2) < 1e-20);
}

TEST_CASE("x_ecomla: ranks by energy hold at most the share, in steps of 8") {
  const auto diagonal = [](int64_t rows, int64_t columns) {
    auto matrix = torch::zeros({rows, columns}, kDouble);
    for (int64_t i = 0; i < std::min(rows, columns); ++i) matrix[i][i] = 1;
    return matrix;
  };
  const GqaWeights gqa{.q_weight = diagonal(40, 40),
                       .k_weight = diagonal(20, 40),
                       .v_weight = torch::zeros({20, 40}, kDouble),
                       .o_weight = {}};
  // 20 of 40 equal directions hold half; of keys and values 20 hold all.
  CHECK(ranks_by_energy(gqa, 0.51, 0.31).queries == 24);
  CHECK(ranks_by_energy(gqa, 0.51, 0.31).keys_and_values == 8);
  CHECK(ranks_by_energy(gqa, 0.19, 1.1).queries == 8);
  CHECK(ranks_by_energy(gqa, 0.19, 1.1).keys_and_values == 40);
}

TEST_CASE("x_ecomla: what can't be built is refused by its key, and what it keeps is counted") {
  const AttentionShape shape{24, 4, 2, 12};
  const auto refusal = [&](const AttentionShape& of, const XEcomla::Config& config) {
    const auto problem = XEcomla::problem(of, config);
    return problem ? describe(*problem) : "accepted";
  };
  CHECK(refusal(shape, {}) == "accepted");
  CHECK(refusal(shape, {.q_lora_rank = 24, .kv_lora_rank = 24, .qk_rope_head_dim = 10}) == "accepted");
  CHECK_THAT(refusal(shape, {.q_lora_rank = 25}),
             ContainsSubstring("q_lora_rank: found 25, expected at most 24"));
  CHECK_THAT(refusal(shape, {.kv_lora_rank = 25}),
             ContainsSubstring("kv_lora_rank: found 25, expected at most 24"));
  for (const int64_t r : {3, 12})
    CHECK_THAT(refusal(shape, {.qk_rope_head_dim = r}), ContainsSubstring("below head_dim 12"));
  AttentionShape other = shape;
  other.qk_norm = true;
  CHECK_THAT(refusal(other, {}), ContainsSubstring("does not commute"));
  other = shape;
  other.scaled_by_width = true;
  CHECK_THAT(refusal(other, {}), ContainsSubstring("yarn or dynamic"));
  CHECK(numbers_per_token(make_mixer(shape, XEcomla::Config{.kv_lora_rank = 9})->state_layout()) == 9 + 6);
  CHECK(variant_turning_dim(shape, XEcomla::Config{}, 12) == 6);
}

}  // namespace
}  // namespace attnlab::test
