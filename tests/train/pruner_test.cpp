// Masks in training: they reach their shape, a state goes on with them, and the cut model is what they showed.
#include "train/pruner.h"

#include "attention/mla_identity.h"
#include "catch.h"
#include "small_run.h"

namespace attnlab::test {
namespace {

DecoderConfig prunable_config() {
  DecoderConfig config = small_config();
  config.family = Family::llama;
  config.n_layers = 3;
  config.n_kv_heads = 3;
  return config;
}

const PruneConfig kHalf{
    .steps = 60, .d_model = 14, .n_layers = 2, .n_kv_heads = 2, .d_ff = 16, .warmup_steps = 20, .mask_lr = 0.3};

TrainConfig pruned_training() {
  TrainConfig config;
  config.steps = 80;
  config.batch_size = 2;
  config.micro_batches = 2;
  config.lr = 1e-3;
  config.prune = kHalf;
  return config;
}

// Steps `from` to `to` on batches that repeat.
void train(Trainer& trainer, int64_t from, int64_t to) {
  for (int64_t step = from; step <= to; ++step)
    trainer.step(step, {make_batch(2, 12, 0, step), make_batch(2, 12, 0, -step + 99)});
}

torch::Tensor pruned_logits(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(random_ids(2, 9, decoder.config().vocab_size)));
}

TEST_CASE("masks approach the target shape, and the cut model computes what they show") {
  const ModelForm form = native_form(prunable_config());
  REQUIRE_FALSE(prune_problem(form, kHalf));
  const auto decoder = fresh(form, {"all"});
  Pruner pruner(*decoder, kHalf, 3);
  Trainer trainer(*decoder, pruned_training());
  trainer.set_pruner(&pruner);
  const double before = pruner.sparsity();
  train(trainer, 1, 60);
  // 2 of 3 layers, 2 of 3 heads, 16 of 28 columns and 14 of 20 numbers: a third of the matrices stays.
  CHECK(before < 0.02);
  CHECK(pruner.sparsity() > 0.3);
  pruner.show_cut();
  const auto shown = pruned_logits(*decoder);
  const CutModel cut = pruner.cut();
  CHECK(fields_equal(cut.config, pruned_config(form.config, kHalf)));
  CHECK(cut.config.n_heads == 4);
  Decoder smaller(native_form(cut.config));
  load_weights(smaller, cut.weights);
  // The same products of size 1 in another order, through two layers.
  CHECK((pruned_logits(smaller) - shown).abs().max().item<double>() < 1e-4);
  pruner.release();
  CHECK((pruned_logits(*decoder) - shown).abs().max().item<double>() > 1e-2);
}

TEST_CASE("a saved state with masks goes on bit for bit") {
  const ModelForm form = native_form(prunable_config());
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.state.safetensors";
  const auto whole = fresh(form, {"all"}), stopped = fresh(form, {"all"}), resumed = fresh(form, {"all"});
  Pruner whole_masks(*whole, kHalf, 5), stopped_masks(*stopped, kHalf, 5), resumed_masks(*resumed, kHalf, 5);
  Trainer a(*whole, pruned_training()), b(*stopped, pruned_training()), c(*resumed, pruned_training());
  a.set_pruner(&whole_masks);
  b.set_pruner(&stopped_masks);
  c.set_pruner(&resumed_masks);
  train(a, 1, 12);
  train(b, 1, 7);
  b.save(path, {.step = 7});
  CHECK(c.load(open_state(path)).step == 7);
  train(c, 8, 12);
  CHECK(distance(*whole, *resumed) == 0);
  const auto left = whole_masks.tensors(), right = resumed_masks.tensors();
  REQUIRE(left.size() == right.size());
  for (size_t i = 0; i < left.size(); ++i) CHECK(torch::equal(left[i].second, right[i].second));
}

TEST_CASE("masks of a step depend on seed and step alone, and a step that is not finite changes none") {
  const ModelForm form = native_form(prunable_config());
  const auto decoder = fresh(form, {"all"});
  const auto drawn = [&](uint64_t seed, int64_t step) {
    Pruner pruner(*decoder, kHalf, seed);
    pruner.draw(step);
    pruner.mask();
    return pruned_logits(*decoder);
  };
  // Open masks are mostly 1; some of 84 columns and 6 heads are not.
  CHECK(torch::equal(drawn(1, 4), drawn(1, 4)));
  CHECK_FALSE(torch::equal(drawn(1, 4), drawn(1, 5)));
  CHECK_FALSE(torch::equal(drawn(1, 4), drawn(2, 4)));
  Pruner pruner(*decoder, kHalf, 1);
  pruner.draw(1);
  const auto before = pruner.tensors().front().second.clone();
  pruner.update(1, /*finite=*/false);
  CHECK(torch::equal(before, pruner.tensors().front().second));
  pruner.release();
}

std::string prune_refusal(const ModelForm& form, const PruneConfig& config) {
  const auto problem = prune_problem(form, config);
  return problem ? describe(*problem) : "accepted";
}

TEST_CASE("shapes that can't be are refused by their key") {
  const ModelForm form = native_form(prunable_config());
  CHECK(prune_refusal(form, kHalf) == "accepted");
  auto config = kHalf;
  config.d_ff = 29;
  CHECK_THAT(prune_refusal(form, config), ContainsSubstring("d_ff: found 29, expected at most the base's 28"));
  config = kHalf;
  config.n_kv_heads = 4;
  CHECK_THAT(prune_refusal(form, config),
             ContainsSubstring("n_kv_heads: found 4, expected at most the base's 3"));
  CHECK_THAT(prune_refusal(form, {.steps = 4}), ContainsSubstring("found a target shape that is the base's"));
  CHECK_THAT(prune_refusal({prunable_config(), MlaIdentity::Config{}}, kHalf),
             ContainsSubstring("masks on mla_identity"));
  CHECK_THAT(prune_refusal(native_form(small_experts()), kHalf), ContainsSubstring("gqa with dense MLPs"));
}

}  // namespace
}  // namespace attnlab::test
