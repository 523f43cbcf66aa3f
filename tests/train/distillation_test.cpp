// Training with a teacher.
#include "train/distillation.h"

#include "attention/gqa.h"
#include "catch.h"
#include "small_run.h"
#include "train/layer_losses.h"
#include "train/train_config.h"

namespace attnlab {
namespace {

using test::distance, test::fresh, test::make_batch;

// The base of `fresh`'s arms, as itself.
std::shared_ptr<Decoder> teacher_of(const DecoderConfig& config = test::small_config()) {
  return test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
}

TrainConfig taught(const DistillConfig& distill) {
  TrainConfig config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};
  config.distill = distill;
  return config;
}

// An arm that is not its base: half of its latent numbers are cut.
std::shared_ptr<Decoder> cut_arm() { return fresh(MlaOrthogonal::Config{.rank = 2}); }

TEST_CASE("a student comes near its teacher, whose weights stay as they are") {
  for (const Divergence loss : {Divergence::forward_kl, Divergence::reverse_kl, Divergence::jsd})
    for (const LayerMatch layers : {LayerMatch::none, LayerMatch::attention_output, LayerMatch::hidden}) {
      INFO(name_of(loss) << ", layers " << name_of(layers));
      const auto student = cut_arm(), teacher = teacher_of(), untouched = teacher_of();
      Trainer trainer(*student, taught({.loss = loss, .layers = layers}), teacher);
      const auto batch = make_batch(4, 16, 2, 1);
      const auto first = trainer.step(1, {batch});
      StepResult last;
      for (int64_t step = 2; step <= 30; ++step) last = trainer.step(step, {batch});
      CHECK(last.divergence.item<double>() < 0.7 * first.divergence.item<double>());
      CHECK(last.loss.item<double>() > 0);
      const bool compared = layers != LayerMatch::none;
      CHECK((first.layer_distance.item<double>() > 0) == compared);
      CHECK(first.objective.item<double>() ==
            Approx(first.divergence.item<double>() + first.layer_distance.item<double>()).epsilon(1e-6));
      if (compared) CHECK(last.layer_distance.item<double>() < first.layer_distance.item<double>());
      CHECK(distance(*teacher, *untouched) == 0);
    }
}

TEST_CASE("an arm that is its teacher has no divergence from it, in every precision") {
  for (const Precision precision : {Precision::float32, Precision::bf16_mixed, Precision::bf16}) {
    INFO(name_of(precision));
    const auto student = fresh(Gqa::Config{}), teacher = teacher_of();
    for (const auto& decoder : {student, teacher}) decoder->to(weight_type(precision));
    TrainConfig config = taught({.layers = LayerMatch::hidden});
    config.precision = precision;
    const auto step = Trainer(*student, config, teacher).step(1, {make_batch(3, 11, 1, 1)});
    CHECK(step.divergence.item<double>() == 0);
    // ε of each of the two layers' distances.
    CHECK(step.layer_distance.item<double>() < 3e-6);
    CHECK(step.loss.item<double>() > 0);
  }
}

TEST_CASE("the logged loss is the cross-entropy, whatever is trained on") {
  const auto plain = cut_arm(), student = cut_arm();
  const auto batch = make_batch(4, 16, 2, 1);
  const TrainConfig config{.steps = 30, .lr = 3e-3, .warmup_steps = 3};
  const double alone = Trainer(*plain, config).step(1, {batch}).loss.item<double>();
  const auto step = Trainer(*student, taught({.temperature = 2, .weight = 0.9}), teacher_of()).step(1, {batch});
  CHECK(step.loss.item<double>() == Approx(alone).epsilon(1e-6));
  CHECK(step.objective.item<double>() ==
        Approx(0.9 * step.divergence.item<double>() + 0.1 * alone).epsilon(1e-6));
}

TEST_CASE("micro-batches of a taught step add up to the batch") {
  const auto whole = cut_arm(), parts = cut_arm();
  const DistillConfig distill{.weight = 0.5, .layers = LayerMatch::hidden};
  Trainer a(*whole, taught(distill), teacher_of()), b(*parts, taught(distill), teacher_of());
  const auto first = make_batch(2, 16, 2, 1), second = make_batch(3, 16, 5, 7);
  const auto x = a.step(1, {test::join({first, second})}), y = b.step(1, {first, second});
  // Sums of some 60 terms in another order.
  CHECK(x.objective.item<double>() == Approx(y.objective.item<double>()).epsilon(1e-5));
  CHECK(x.divergence.item<double>() == Approx(y.divergence.item<double>()).epsilon(1e-5));
  CHECK(x.layer_distance.item<double>() == Approx(y.layer_distance.item<double>()).epsilon(1e-5));
  CHECK(x.gradient_norm.item<double>() == Approx(y.gradient_norm.item<double>()).epsilon(1e-5));
}

TEST_CASE("a taught run that was saved and loaded goes on bit for bit") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "seed0.state.safetensors";
  const auto undisturbed = cut_arm(), first = cut_arm(), second = cut_arm();
  const TrainConfig config = taught({.loss = Divergence::jsd, .weight = 0.7, .layers = LayerMatch::hidden});
  Trainer a(*undisturbed, config, teacher_of()), b(*first, config, teacher_of()),
      c(*second, config, teacher_of());
  for (int64_t step = 1; step <= 9; ++step) {
    a.step(step, {make_batch(3, 11, 1, step)});
    if (step <= 4) b.step(step, {make_batch(3, 11, 1, step)});
  }
  b.save(file, {.step = 4});
  c.load(open_state(file));
  for (int64_t step = 5; step <= 9; ++step) c.step(step, {make_batch(3, 11, 1, step)});
  CHECK(distance(*undisturbed, *second) == 0);
}

// Where layers are compared, too, the gradients that meet behind a layer are added in another order.
TEST_CASE("recomputed layers are taught the same") {
  for (const LayerMatch layers : {LayerMatch::none, LayerMatch::hidden}) {
    const auto plain = cut_arm(), recomputed = cut_arm();
    TrainConfig config = taught({.layers = layers});
    Trainer a(*plain, config, teacher_of());
    config.activation_checkpointing = true;
    Trainer b(*recomputed, config, teacher_of());
    for (int64_t step = 1; step <= 3; ++step) {
      const auto x = a.step(step, {make_batch(2, 11, 1, step)}), y = b.step(step, {make_batch(2, 11, 1, step)});
      CHECK(x.objective.item<double>() == Approx(y.objective.item<double>()).epsilon(1e-6));
    }
    CHECK(distance(*plain, *recomputed) <= (layers == LayerMatch::none ? 0 : 1e-6));
  }
}

TEST_CASE("a step whose teacher gives no numbers changes nothing") {
  const auto student = cut_arm(), before = cut_arm(), teacher = teacher_of();
  {
    const torch::NoGradGuard no_grad;
    teacher->named_parameters()["model.norm.weight"].fill_(NAN);
  }
  const auto step = Trainer(*student, taught({}), teacher).step(1, {make_batch(2, 11, 1, 1)});
  CHECK(step.nonfinite.item<double>() == 1);
  CHECK(distance(*student, *before) == 0);
}

TEST_CASE("what a teacher can't teach is said") {
  const DecoderConfig base = test::small_config();
  const auto problem = [&](const DecoderConfig& teacher, const DistillConfig& distill = {}) {
    const auto found = teacher_problem(teacher, base, distill, 16);
    return found ? describe(*found) : std::string();
  };
  CHECK(problem(base).empty());
  DecoderConfig other = base;
  other.vocab_size += 1;
  CHECK(problem(other) == "teacher: found a teacher of 38 tokens, expected the student's 37 tokens");
  other = base;
  other.max_positions = 15;
  CHECK(problem(other) ==
        "teacher: found a teacher of 15 positions, expected train.sequence_length, 16, or more");
  other = base;
  other.n_layers += 1;
  CHECK(problem(other).empty());
  CHECK(problem(other, {.layers = LayerMatch::hidden}).starts_with("layers: found hidden with a teacher of"));
}

TEST_CASE("keys that can't be together are refused") {
  TrainConfig config = taught({.loss = Divergence::jsd, .top_k = 4, .top_k_form = TopkForm::partial});
  REQUIRE(train_problem(config));
  CHECK(train_problem(config)->key == "distill.top_k_form");
  config = taught({.layers = LayerMatch::attention_output});
  CHECK_FALSE(train_problem(config));
  config.activation_checkpointing = true;
  REQUIRE(train_problem(config));
  CHECK(train_problem(config)->key == "distill.layers");
}

torch::Tensor random(torch::IntArrayRef shape) { return torch::randn(shape, torch::kFloat64).requires_grad_(); }

// Plain loops in double precision.
double loop_distance(const torch::Tensor& a, const torch::Tensor& b) {
  const auto x = a.detach().reshape({-1, a.size(-1)}), y = b.detach().reshape({-1, b.size(-1)});
  double sum = 0;
  for (int64_t i = 0; i < x.size(0); ++i) {
    double squares = 0;
    for (int64_t j = 0; j < x.size(1); ++j)
      squares += std::pow(x[i][j].item<double>() - y[i][j].item<double>(), 2);
    sum += std::sqrt(squares);
  }
  return sum;
}

TEST_CASE("losses of layers are those of plain loops") {
  torch::manual_seed(5);
  const Layers student{random({2, 3, 5}), random({2, 3, 5})}, teacher{random({2, 3, 5}), random({2, 3, 5})};
  double sum = 0;
  for (size_t i = 0; i < 2; ++i) sum += loop_distance(student[i], teacher[i]);
  // ε²/2d of each distance, d being some 3.
  CHECK(summed_distance(student[0], teacher[0]).item<double>() ==
        Approx(loop_distance(student[0], teacher[0])).epsilon(1e-11));
  CHECK(mean_distances(student, teacher).item<double>() == Approx(sum / 6).epsilon(1e-11));
  const Layers m{random({2, 3, 4, 4})}, a{random({2, 3, 4, 4})};
  CHECK(matrix_distances(m, a).item<double>() ==
        Approx(loop_distance(m[0].flatten(-2), a[0].flatten(-2)) / 6).epsilon(1e-11));
}

TEST_CASE("at agreement the gradient of a distance is 0, and a number") {
  auto student = torch::ones({2, 3}).requires_grad_();
  summed_distance(student, torch::ones({2, 3})).backward();
  CHECK(student.grad().abs().max().item<double>() == 0);
}

}  // namespace
}  // namespace attnlab
