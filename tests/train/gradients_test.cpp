// Which gradients a step computes, and what it divides them by.
#include <set>

#include "attention/gqa.h"
#include "attention/mla_identity.h"
#include "catch.h"
#include "checkpoint/safetensors.h"
#include "model/loss.h"
#include "small_run.h"

namespace attnlab {
namespace {

using test::distance, test::fresh, test::join, test::make_batch;

// The gradient of one unclipped first step, read from the saved first moments (1 - beta1) g.
TensorList first_gradients(const std::vector<Batch>& micro_batches) {
  const TrainConfig config{.steps = 10, .clip_norm = 0};
  const auto decoder = fresh();
  Trainer trainer(*decoder, config);
  trainer.step(1, micro_batches);
  const test::TemporaryFolder folder;
  trainer.save(folder.path() / "state", {.step = 1});
  const auto file = SafetensorsFile::open(folder.path() / "state");
  TensorList gradients;
  for (const auto& name : file.names())
    if (name.starts_with("first_moment/")) gradients[name] = file.tensor(name).clone() / (1 - config.beta1);
  return gradients;
}

// Eight rows of 24 positions with 24, 1, 20, 1, 13, 2, 7 and no targets.
std::vector<Batch> unequal_rows() {
  std::vector<Batch> rows;
  for (const int64_t masked : {0, 23, 4, 23, 11, 22, 17, 24})
    rows.push_back(make_batch(1, 24, masked, static_cast<int64_t>(rows.size())));
  return rows;
}

TEST_CASE(
    "eight micro-batches of one row and one of eight have the same gradient, however unequal their targets") {
  const auto rows = unequal_rows();
  const auto whole = first_gradients({join(rows)}), parted = first_gradients(rows);
  REQUIRE(whole.size() == 2 * 6);
  for (const auto& [name, gradient] : whole) {
    INFO(name);
    const double scale = gradient.abs().max().item<double>();
    REQUIRE(scale > 1e-4);
    // Each number is a sum over 68 targets, through two layers of sums over at most 28 numbers, all in float32.
    CHECK((gradient - parted.at(name)).abs().max().item<double>() < scale * 68 * 6e-8 * 4);
  }
}

TEST_CASE("a mean of the micro-batches' means would be another gradient") {
  // That the test above can tell the two apart: the row with one target alone weighs 1/8 in one, 1/68 in the
  // other.
  const auto rows = unequal_rows();
  const auto whole = first_gradients(rows), row = first_gradients({rows[1]});
  double ratio = 0;
  for (const auto& [name, gradient] : whole)
    ratio = std::max(ratio, (row.at(name).norm() / gradient.norm()).item<double>());
  CHECK(ratio > 1.5);
}

TEST_CASE("three steps of both ways stay together") {
  const TrainConfig config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};
  const auto whole = fresh(), parted = fresh();
  Trainer a(*whole, config), b(*parted, config);
  for (int64_t step = 1; step <= 3; ++step) {
    const auto x = a.step(step, {join(unequal_rows())}), y = b.step(step, unequal_rows());
    CHECK(x.tokens == y.tokens);
    // Both are sums of 68 terms of size 4, in another order.
    CHECK(x.loss.item<double>() == Approx(y.loss.item<double>()).epsilon(68 * 6e-8));
    CHECK(x.gradient_norm.item<double>() == Approx(y.gradient_norm.item<double>()).epsilon(1e-4));
  }
  // AdamW divides by the gradient's own size: rounding can decide the sign of a vanishing one, at most 2 lr a
  // step.
  CHECK(distance(*whole, *parted) < 2 * 3 * config.lr);
}

torch::Tensor loss_of(Decoder& decoder) {
  const Batch batch = make_batch(3, 13, 2, 1);
  return summed_loss(
      decoder, make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, decoder.device()));
}

struct Graph {
  size_t nodes = 0, leaves = 0;
};

// What backward would walk through.
Graph graph_of(const torch::Tensor& loss) {
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open{loss.grad_fn().get()};
  Graph graph;
  while (!open.empty()) {
    auto* node = open.back();
    open.pop_back();
    if (!node || !seen.insert(node).second) continue;
    ++graph.nodes;
    graph.leaves += node->name().find("AccumulateGrad") != std::string::npos;
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  return graph;
}

DecoderConfig with_layers(int64_t n) {
  auto config = test::small_config();
  config.n_layers = n;
  return config;
}

TEST_CASE("what is frozen gets no gradient") {
  for (const std::string scope :
       {"model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.*", "attention_kv"}) {
    const auto decoder = fresh(Gqa::Config{}, {scope});
    loss_of(*decoder).backward();
    for (const auto& parameter : decoder->named_parameters()) {
      INFO(scope << ", " << parameter.key());
      CHECK(parameter.value().grad().defined() == parameter.value().requires_grad());
    }
  }
}

TEST_CASE("nothing is computed backward below the lowest layer that is trained") {
  for (const VariantConfig& variant : {VariantConfig(Gqa::Config{}), VariantConfig(MlaIdentity::Config{})}) {
    const auto top_of = [&](int64_t n) {
      const auto decoder = fresh(variant, {"model.layers." + std::to_string(n - 1) + ".*"}, with_layers(n));
      return graph_of(loss_of(*decoder));
    };
    const auto all_of = [&](int64_t n) { return graph_of(loss_of(*fresh(variant, {"all"}, with_layers(n)))); };
    CHECK(top_of(1).nodes == top_of(4).nodes);
    CHECK(top_of(1).leaves == top_of(4).leaves);
    CHECK(all_of(4).nodes > 2 * all_of(1).nodes);
    CHECK(top_of(1).leaves + 3 == all_of(1).leaves);  // embedding, last norm, output matrix
  }
}

}  // namespace
}  // namespace attnlab
