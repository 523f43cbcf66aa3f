#include "eval/heldout.h"

#include <ATen/autocast_mode.h>

#include <cmath>
#include <limits>

#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "support.h"

namespace attnlab {
namespace {

using test::byte_config;
using test::lively_weights;
using test::make_decoder;

const VariantConfig variant = MlaOrthogonal::Config{};

std::shared_ptr<Decoder> decoder() {
  return make_decoder(byte_config(), lively_weights(byte_config()), variant);
}

using test::batches;

// -log p(target | prefix), the prefix alone in a model in double.
double naive_token_loss(Decoder& in_double, const std::vector<int64_t>& prefix, int64_t target) {
  const torch::NoGradGuard no_grad;
  const auto hidden_BTD = in_double.hidden(torch::tensor(prefix).unsqueeze(0));
  const auto logits_V = in_double.logits(hidden_BTD.select(1, -1)).squeeze(0).contiguous();
  double sum = 0;
  for (int64_t v = 0; v < logits_V.size(0); ++v) sum += std::exp(logits_V.data_ptr<double>()[v]);
  return std::log(sum) - logits_V.data_ptr<double>()[target];
}

HeldoutLoss naive_loss(const std::vector<Batch>& of) {
  const auto in_double = decoder();
  in_double->to(torch::kFloat64);
  HeldoutLoss out;
  for (const auto& batch : of)
    for (int64_t r = 0; r < batch.rows; ++r) {
      const auto row = batch.input_ids.begin() + r * batch.columns;
      for (int64_t t = 0; t < batch.columns; ++t) {
        const int64_t target = batch.targets[static_cast<size_t>(r * batch.columns + t)];
        if (target == ignored_target) continue;
        out.loss += naive_token_loss(*in_double, {row, row + t + 1}, target);
        ++out.tokens;
      }
    }
  out.loss /= static_cast<double>(out.tokens);
  return out;
}

// A logit is the end of a chain of sums of up to n terms, each erring by at most n eps Σ|terms|: per layer
// projections in (D), up-projection (G·H), scores (H), softmax and its product (2 T), projection out (N·H),
// gate and up (D), down (d_ff); then the output matrix (D). The loss is a log of V exponentials less one logit,
// and the mean over tokens errs no more than a token; a float32 sum over P tokens adds P eps of itself. Logits
// of random weights of deviation 0.3 stay below 6 (deviation 0.3 √D = 1.3), so losses stay below 6 + 6 + log V.
double tolerance(int64_t T, int64_t tokens) {
  const auto c = byte_config();
  const int64_t layer =
      2 * c.d_model + c.n_kv_heads * c.head_dim + c.head_dim + 2 * T + c.n_heads * c.head_dim + c.d_ff;
  const auto terms = static_cast<double>(c.n_layers * layer + c.d_model + c.vocab_size);
  const double eps = std::numeric_limits<float>::epsilon() / 2;
  return eps * (2 * terms * 6 + static_cast<double>(tokens) * 17);
}

void check_like_naive(const std::vector<Batch>& of) {
  const auto model = decoder();
  const HeldoutLoss found = heldout_loss(*model, of, Precision::float32), expected = naive_loss(of);
  int64_t longest = 0;
  for (const auto& batch : of) longest = std::max(longest, batch.columns);
  CHECK(found.tokens == expected.tokens);
  CHECK(found.loss == Approx(expected.loss).epsilon(0).margin(tolerance(longest, found.tokens)));
}

TEST_CASE("held-out loss is the mean over all targets, one by one in double") {
  SECTION("padded, prompts masked, several ragged batches") { check_like_naive(batches({.batch_size = 3})); }
  SECTION("prompts trained too") { check_like_naive(batches({.batch_size = 2, .loss_on_prompt = true})); }
  SECTION("packed, the last row padded") {
    check_like_naive(batches({.batch_size = 2, .sequence_length = 29, .packing = Packing::stream}));
  }
  SECTION("cut off, so that some rows have no target") {
    const auto cut = batches({.batch_size = 1, .sequence_length = 16});
    REQUIRE(std::any_of(cut.begin(), cut.end(), [](const Batch& batch) { return batch.loss_tokens == 0; }));
    check_like_naive(cut);
  }
}

TEST_CASE("how examples are batched does not matter") {
  const auto model = decoder();
  const HeldoutLoss one = heldout_loss(*model, batches({.batch_size = 1}), Precision::float32);
  int64_t expected = 0;  // every character of the answers, and an eos each
  for (const auto& problem : test::ragged_problems())
    expected += static_cast<int64_t>(problem.answer.size()) + 1;
  CHECK(one.tokens == expected);
  for (const int64_t size : {2, 7, 100}) {
    const HeldoutLoss other = heldout_loss(*model, batches({.batch_size = size}), Precision::float32);
    CHECK(other.tokens == one.tokens);
    CHECK(other.loss == Approx(one.loss).epsilon(0).margin(2 * tolerance(48, one.tokens)));
  }
}

TEST_CASE("no targets at all: 0 of 0") {
  const auto model = decoder();
  CHECK(heldout_loss(*model, {}, Precision::float32).tokens == 0);
  const Batch masked{.rows = 2,
                     .columns = 2,
                     .input_ids = {1, 2, 3, 4},
                     .targets = std::vector<int64_t>(4, ignored_target),
                     .tokens = 4};
  const Batch empty{.rows = 2, .columns = 0};
  const HeldoutLoss none = heldout_loss(*model, {masked, empty}, Precision::float32);
  CHECK(none.tokens == 0);
  CHECK(none.loss == 0);
  auto some = batches({.batch_size = 4});
  const double loss = heldout_loss(*model, some, Precision::float32).loss;
  some.insert(some.begin() + 1, {masked, empty});
  CHECK(heldout_loss(*model, some, Precision::float32).loss == loss);
}

TEST_CASE("a broken model's loss is not a number") {
  const auto model = decoder();
  {
    const torch::NoGradGuard no_grad;
    model->named_parameters()["model.norm.weight"][3] = std::nan("");
  }
  CHECK(std::isnan(heldout_loss(*model, batches({.batch_size = 4}), Precision::float32).loss));
}

TEST_CASE("evaluation leaves no gradient, no autocast and no grad mode behind") {
  const auto model = decoder();
  const auto data = batches({.batch_size = 4});
  const double exact = heldout_loss(*model, data, Precision::float32).loss;
  const double rounded = heldout_loss(*model, data, Precision::bf16_mixed).loss;
  CHECK(rounded != exact);
  CHECK(rounded == Approx(exact).epsilon(0.05));  // 8 bits of significand through two layers
  CHECK(torch::GradMode::is_enabled());
  CHECK_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
  for (const auto& parameter : model->parameters()) {
    CHECK(parameter.requires_grad());
    CHECK_FALSE(parameter.grad().defined());
  }
  CHECK(heldout_loss(*model, data, Precision::float32).loss == exact);
}

}  // namespace
}  // namespace attnlab
