// MHA2MLA: with all frequencies and numbers kept it is GQA; otherwise GQA with some angles set to zero, and
// what truncation loses is the discarded singular values.
#include "attention/mha2mla.h"

#include <Eigen/SVD>
#include <algorithm>

#include "attention/gqa.h"
#include "attention/mha2mla_stages.h"
#include "attention/rope_selection.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using test::kDouble;

using test::loaded;

TEST_CASE("with rotary on whole heads and all numbers kept, it is GQA") {
  for (const auto& size : odd_sizes())
    for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
      INFO(size.name);
      const auto gqa = random_attention(size, Gqa::Config{}, dtype, 21);
      const auto input = random_input(size, dtype, 22);
      const auto expected = gqa->forward(input);
      const Mha2Mla::Config config{.qk_rope_head_dim = size.shape.head_dim};
      // One product more than the chain has (the joint factors), and two sides that round independently.
      CHECK(close(converted(*gqa, config)->forward(input), expected, 4 * tolerance(size, dtype, expected)));
    }
}

// What GQA gives whose heads turn at the given frequencies alone: cos 1 and sin 0 elsewhere. Heads differ, so
// it is the sum over KV heads of layers in which the output matrix reads the heads of one.
torch::Tensor gqa_with_frequencies(const Size& size, const Mixer& gqa, const Tokens& input,
                                   const torch::Tensor& frequencies) {
  const auto& shape = size.shape;
  const int64_t h = shape.head_dim / 2, width = shape.heads_per_kv() * shape.head_dim;
  torch::Tensor sum;
  for (int64_t g = 0; g < shape.n_kv_heads; ++g) {
    auto weights = gqa_weights(gqa);
    weights.o_weight = torch::zeros_like(weights.o_weight);
    weights.o_weight.narrow(1, g * width, width).copy_(gqa_weights(gqa).o_weight.narrow(1, g * width, width));
    if (g > 0 && weights.o_bias.defined()) weights.o_bias = torch::zeros_like(weights.o_bias);
    Tokens turned = input;
    const auto& [cos, sin] = input.tables();
    turned.tables() = {torch::ones_like(cos), torch::zeros_like(sin)};
    for (int64_t j = 0; j < frequencies.size(1); ++j)
      for (const int64_t column : {frequencies[g][j].item<int64_t>(), frequencies[g][j].item<int64_t>() + h}) {
        turned.tables().cos_BTH.select(-1, column).copy_(cos.select(-1, column));
        turned.tables().sin_BTH.select(-1, column).copy_(sin.select(-1, column));
      }
    const auto part =
        loaded(shape, Gqa::Config{}, Gqa::from_gqa(shape, Gqa::Config{}, weights))->forward(turned);
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

TEST_CASE("each KV head turns at its own frequencies and no others") {
  const torch::NoGradGuard no_grad;
  for (const auto& size : odd_sizes()) {
    const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
    const auto input = random_input(size, kDouble, 22);
    for (const auto select : {RopeSelect::norm, RopeSelect::high, RopeSelect::uniform}) {
      const Mha2Mla::Config config{.qk_rope_head_dim = 4, .select = select};
      const auto strengths = weight_strengths(size.shape, gqa_weights(*gqa));
      const auto frequencies = select_frequencies(size.shape, 4, select, strengths.products);
      INFO(size.name << ", " << name_of(select) << ", " << frequencies);
      const auto expected = gqa_with_frequencies(size, *gqa, input, frequencies);
      const auto found = converted(*gqa, config)->forward(input);
      CHECK(close(found, expected, 4 * tolerance(size, kDouble, expected)));
      CHECK_FALSE(close(found, gqa->forward(input), 1e-3));
    }
  }
}

// Frequencies of each KV head by plain loops: all products, then the largest one after the other.
std::vector<std::vector<int64_t>> selected_in_loops(const AttentionShape& shape, int64_t kept,
                                                    const torch::Tensor& q, const torch::Tensor& k) {
  const int64_t h = shape.head_dim / 2;
  const auto q_a = q.accessor<double, 2>(), k_a = k.accessor<double, 2>();
  const auto norm = [&](const auto& x, int64_t p, int64_t head, int64_t i) {
    return std::hypot(x[p][head * 2 * h + i], x[p][head * 2 * h + i + h]);
  };
  std::vector<std::vector<int64_t>> chosen;
  for (int64_t g = 0; g < shape.n_kv_heads; ++g) {
    std::vector<double> sums(static_cast<size_t>(h), 0);
    for (int64_t i = 0; i < h; ++i)
      for (int64_t p = 0; p < q.size(0); ++p)
        for (int64_t n = 0; n < shape.n_heads; ++n)
          if (n / shape.heads_per_kv() == g)
            sums[static_cast<size_t>(i)] += norm(q_a, p, n, i) * norm(k_a, p, g, i);
    std::vector<int64_t> best;
    while (static_cast<int64_t>(best.size()) < kept) {
      const auto top = std::max_element(sums.begin(), sums.end());
      best.push_back(top - sums.begin());
      *top = -1;
    }
    std::sort(best.begin(), best.end());
    chosen.push_back(best);
  }
  return chosen;
}

TEST_CASE("the frequencies with the largest norms are those that plain loops find") {
  for (const auto& size : odd_sizes()) {
    const auto& shape = size.shape;
    torch::manual_seed(5);
    const auto q = torch::randn({17, shape.n_heads * shape.head_dim}, kDouble);
    const auto k = torch::randn({17, shape.n_kv_heads * shape.head_dim}, kDouble);
    const auto found = select_frequencies(shape, 4, RopeSelect::norm, token_strengths(shape, q, k).products);
    const auto expected = selected_in_loops(shape, 2, q, k);
    for (int64_t g = 0; g < shape.n_kv_heads; ++g)
      for (int64_t j = 0; j < 2; ++j)
        CHECK(found[g][j].item<int64_t>() == expected[static_cast<size_t>(g)][static_cast<size_t>(j)]);
  }
  const AttentionShape shape{8, 2, 1, 12};
  CHECK(torch::equal(select_frequencies(shape, 4, RopeSelect::high, {}), torch::tensor({{0, 1}})));
  CHECK(torch::equal(select_frequencies(shape, 4, RopeSelect::uniform, {}), torch::tensor({{0, 3}})));
  CHECK(torch::equal(selected_last_order(shape, torch::tensor({{1, 4}})),
                     torch::tensor({{0, 2, 3, 5, 6, 8, 9, 11, 1, 4, 7, 10}})));
}

TEST_CASE("the joint SVD loses the discarded singular values, and shares the others evenly") {
  const Size size = odd_sizes()[0];
  const auto gqa = random_attention(size, Gqa::Config{}, kDouble, 21);
  const auto selected = select_rope_layer(size.shape, gqa_weights(*gqa), torch::tensor({{0, 3}, {1, 2}}));
  const auto whole =
      torch::cat({selected.at("kv_a_proj.weight"), selected.at("kv_a_proj.bias").unsqueeze(1)}, 1);
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(
      Eigen::Map<const RowMajor>(whole.data_ptr<double>(), whole.size(0), whole.size(1)));
  const Eigen::VectorXd S2 = svd.singularValues().array().square();
  for (const int64_t rank : {1, 7, 20}) {
    const auto layer = joint_svd_layer(selected, rank);
    const auto down =
        torch::cat({layer.tensors.at("kv_a_proj.weight"), layer.tensors.at("kv_a_proj.bias").unsqueeze(1)}, 1);
    const auto& up = layer.tensors.at("kv_b_proj.weight");
    const auto lost = torch::matmul(selected.at("kv_b_proj.weight"), whole) - torch::matmul(up, down);
    const double discarded = S2.tail(S2.size() - rank).sum();
    CHECK(lost.square().sum().item<double>() == Approx(discarded).epsilon(1e-10));
    CHECK(layer.kv_energy_kept == Approx(1 - discarded / S2.sum()).epsilon(1e-10));
    CHECK(torch::allclose(down.norm(2, 1), up.norm(2, 0), 1e-9));
  }
}

TEST_CASE("decoding in the latent space equals the materialised form, at every width") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.T = 11;
    const auto input = random_input(size, kDouble, 32);
    for (const int64_t r : {2, 4, static_cast<int>(size.shape.head_dim)}) {
      const Mha2Mla::Config config{.kv_lora_rank = 5, .qk_rope_head_dim = r};
      INFO(size.name << ", " << r);
      const auto module = random_attention(size, config, kDouble, 31);
      // Frequencies that differ by head.
      const auto frequency = module->named_parameters()["rope_frequency"];
      frequency.copy_(torch::arange(frequency.numel()) % (size.shape.head_dim / 2));
      const auto expected = module->forward(input);
      for (const bool absorb : {false, true}) {
        CHECK(module->set_absorb(absorb));
        LayerState state(module->state_layout(), size.B, size.T, kDouble);
        std::vector<torch::Tensor> steps;
        for (int64_t t = 0; t < size.T; ++t) steps.push_back(module->forward(input.pass(t, 1, &state)));
        CHECK(close(torch::cat(steps, 1), expected, 2 * tolerance(size, kDouble, expected)));
      }
      CHECK(numbers_per_token(module->state_layout()) == 5 + size.shape.n_kv_heads * r);
    }
  }
}

TEST_CASE("places of frequencies are whole numbers that bfloat16 holds, and get no gradient") {
  const AttentionShape shape{16, 2, 2, 512};
  const auto module = make_mixer(shape, Mha2Mla::Config{.kv_lora_rank = 3, .qk_rope_head_dim = 512});
  CHECK(module->fixed_parameters() == std::vector<std::string>{"rope_frequency"});
  auto frequency = module->named_parameters()["rope_frequency"];
  CHECK_FALSE(frequency.requires_grad());
  frequency.copy_(torch::arange(256).repeat({2}));
  module->to(torch::kBFloat16);
  frequency = module->named_parameters()["rope_frequency"];
  CHECK(torch::equal(frequency.to(torch::kInt64), torch::arange(256).repeat({2})));
  // Its 512 numbers are in no product: q and o 2 · 1024 · 16, the latent 3 · 16, rotary keys 1024 · 16, and
  // values 3 · 1024; scores and sums 2 · 2 · 2 · 512 a pair, 1 pair.
  CHECK(module->forward_flops_per_token(1) == 2 * (2 * 16384 + 48 + 16384 + 3072) + 4096);
}

std::string mha2mla_refusal(const AttentionShape& shape, const Mha2Mla::Config& config) {
  const auto problem = Mha2Mla::problem(shape, config);
  return problem ? describe(*problem) : "accepted";
}

TEST_CASE("mha2mla: what can't be built is refused by its key") {
  const AttentionShape shape{37, 6, 2, 10};
  CHECK(mha2mla_refusal(shape, {.kv_lora_rank = 32, .qk_rope_head_dim = 4}) == "accepted");
  CHECK_THAT(mha2mla_refusal(shape, {.kv_lora_rank = 33, .qk_rope_head_dim = 4}),
             ContainsSubstring("kv_lora_rank: found 33, expected at most 32"));
  CHECK_THAT(mha2mla_refusal(shape, {.qk_rope_head_dim = 5}), ContainsSubstring("qk_rope_head_dim: found 5"));
  CHECK_THAT(mha2mla_refusal(shape, {.qk_rope_head_dim = 12}), ContainsSubstring("at most head_dim = 10"));
  AttentionShape other = shape;
  other.qk_norm = true;
  CHECK_THAT(mha2mla_refusal(other, {}), ContainsSubstring("does not commute"));
  other = shape;
  other.rotary_dim = 4;
  CHECK_THAT(mha2mla_refusal(other, {}), ContainsSubstring("turns 4 of 10 numbers"));
  other = shape;
  other.scaled_by_frequency = true;
  CHECK_THAT(mha2mla_refusal(other, {}), ContainsSubstring("longrope"));
  other = shape;
  other.head_dim = 514;
  CHECK_THAT(mha2mla_refusal(other, {}), ContainsSubstring("head_dim: found 514"));
  other = shape;
  other.mla = MlaShape{.kv_lora_rank = 8, .qk_nope_head_dim = 6, .qk_rope_head_dim = 4, .v_head_dim = 6};
  CHECK_THAT(mha2mla_refusal(other, {}), ContainsSubstring("MLA already"));
  CHECK(rope_dim_of(shape, {}) == 6);
  CHECK(rope_dim_of({37, 6, 2, 2}, {}) == 2);
}

}  // namespace
}  // namespace attnlab::test
