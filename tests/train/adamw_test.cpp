#include "train/adamw.h"

#include <cmath>

#include "catch.h"

namespace attnlab {
namespace {

// AdamW of one number in double, as arXiv 1711.05101, algorithm 2, writes it.
struct NaiveAdamW {
  double x, m = 0, v = 0;
  void update(double g, int64_t t, double lr, double decay, const TrainConfig& c) {
    x -= lr * decay * x;
    m = c.beta1 * m + (1 - c.beta1) * g;
    v = c.beta2 * v + (1 - c.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(c.beta1, t)), v_hat = v / (1 - std::pow(c.beta2, t));
    x -= lr * m_hat / (std::sqrt(v_hat) + c.epsilon);
  }
};

TEST_CASE("updates are those of a naive twin in double, and only matrices decay") {
  const TrainConfig config{.weight_decay = 0.3, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6};
  torch::manual_seed(1);
  auto matrix = torch::randn({3, 5}).requires_grad_(), vector = torch::randn({7}).requires_grad_();
  std::vector<NaiveAdamW> twins;
  for (const auto& tensor : {matrix, vector})
    for (int64_t i = 0; i < tensor.numel(); ++i) twins.push_back({tensor.flatten()[i].item<double>()});
  AdamW optimizer({{"matrix", matrix}, {"vector", vector}}, config);
  for (int64_t step = 1; step <= 12; ++step) {
    const double lr = 0.05 / static_cast<double>(step);
    size_t twin = 0;
    for (auto& tensor : {matrix, vector}) {
      const auto gradient = torch::randn_like(tensor).detach();
      tensor.mutable_grad() = gradient.clone();
      for (int64_t i = 0; i < tensor.numel(); ++i)
        twins[twin++].update(gradient.flatten()[i].item<double>(), step, lr, tensor.dim() == 2 ? 0.3 : 0,
                             config);
    }
    optimizer.set_step(step, lr);
    optimizer.update();
    CHECK_FALSE(matrix.grad().defined());
  }
  // 12 steps of a handful of float32 operations on numbers of size 1 to 3.
  size_t twin = 0;
  for (const auto& tensor : {matrix, vector})
    for (int64_t i = 0; i < tensor.numel(); ++i)
      CHECK(tensor.flatten()[i].item<double>() == Approx(twins[twin++].x).margin(12 * 8 * 3 * 6e-8));
}

TEST_CASE("gradients longer than clip_norm are scaled to it, shorter ones are left alone") {
  auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({1, 2}).requires_grad_();
  AdamW optimizer({{"a", a}, {"b", b}}, {.clip_norm = 1});
  a.mutable_grad() = torch::tensor({3.0F, 0.0F});
  b.mutable_grad() = torch::tensor({{0.0F, 4.0F}});
  CHECK(optimizer.clip_gradients().item<double>() == Approx(5));
  CHECK(a.grad()[0].item<double>() == Approx(0.6));
  CHECK(b.grad()[0][1].item<double>() == Approx(0.8));
  CHECK(optimizer.clip_gradients().item<double>() == Approx(1));
  CHECK(a.grad()[0].item<double>() == Approx(0.6));
  AdamW unclipped({{"a", a}}, {.clip_norm = 0});
  a.mutable_grad() = torch::tensor({3.0F, 4.0F});
  CHECK(unclipped.clip_gradients().item<double>() == Approx(5));
  CHECK(a.grad()[1].item<double>() == Approx(4));
}

TEST_CASE("a zero gradient stays finite") {
  auto a = torch::ones({2}).requires_grad_();
  AdamW optimizer({{"a", a}}, {.clip_norm = 1});
  a.mutable_grad() = torch::zeros({2});
  CHECK(optimizer.clip_gradients().item<double>() == 0);
  optimizer.set_step(1, 0.1);
  optimizer.update();
  CHECK(torch::equal(a, torch::ones({2})));
}

}  // namespace
}  // namespace attnlab
