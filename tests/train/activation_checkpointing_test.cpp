#include "attention/mla_v2.h"
#include "catch.h"
#include "live_memory.h"
#include "model/loss.h"
#include "small_run.h"

namespace attnlab {
namespace {

using test::fresh, test::make_batch;

torch::Tensor loss_of(Decoder& decoder, Precision precision, int64_t seed) {
  const Batch batch = make_batch(3, 13, 2, seed);
  const PrecisionScope scope(precision, decoder.device());
  return summed_loss(
      decoder, make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, decoder.device()));
}

// Loss and gradients of two micro-batches, one on top of the other.
TensorMap gradients(const ModelForm& form, const std::vector<std::string>& scopes, Precision precision,
                    bool recompute) {
  const auto decoder = fresh(form, scopes);
  decoder->recompute_layers(recompute);
  TensorMap out;
  for (int64_t seed = 1; seed <= 2; ++seed) {
    const auto loss = loss_of(*decoder, precision, seed);
    loss.backward();
    out["loss " + std::to_string(seed)] = loss.detach();
  }
  for (const auto& parameter : decoder->named_parameters())
    if (parameter.value().grad().defined()) out[parameter.key()] = parameter.value().grad();
  return out;
}

TEST_CASE("activation checkpointing changes no bit of loss and gradients, whatever is frozen") {
  const auto config = test::small_config();
  for (const ModelForm& form :
       {native_form(config), ModelForm(config, MlaOrthogonal::Config{}), ModelForm(config, MlaV2::Config{}),
        test::two_variants(config), native_form(test::small_experts())})
    for (const Precision precision : {Precision::float32, Precision::bf16_mixed})
      for (const std::vector<std::string>& scopes : {std::vector<std::string>{"all"},
                                                     {"attention_kv"},
                                                     {"model.layers.1.*"},
                                                     {"model.layers.0.mlp.*"}}) {
        const auto plain = gradients(form, scopes, precision, false);
        const auto recomputed = gradients(form, scopes, precision, true);
        INFO(name_of(precision) << ", " << scopes[0]);
        REQUIRE(plain.size() == recomputed.size());
        REQUIRE(plain.size() > 2);
        for (const auto& [name, tensor] : plain) {
          INFO(name);
          CHECK(torch::equal(tensor, recomputed.at(name)));
        }
      }
}

TEST_CASE("activation checkpointing leaves a training run as it is, bit for bit") {
  const auto plain = fresh(), recomputed = fresh();
  TrainConfig config{.steps = 6, .lr = 3e-3, .precision = Precision::bf16_mixed};
  Trainer a(*plain, config);
  config.activation_checkpointing = true;
  Trainer b(*recomputed, config);
  for (int64_t step = 1; step <= 6; ++step) {
    const std::vector<Batch> batches{make_batch(2, 11, 1, step), make_batch(1, 7, 3, step + 1)};
    const auto x = a.step(step, batches), y = b.step(step, batches);
    CHECK(x.loss.item<double>() == y.loss.item<double>());
    CHECK(x.gradient_norm.item<double>() == y.gradient_norm.item<double>());
  }
  CHECK(test::distance(*plain, *recomputed) == 0);
}

TEST_CASE("activation checkpointing holds one layer's activations at a time") {
  auto config = test::small_config();
  config.n_layers = 8;
  auto& memory = test::CountingAllocator::instance();
  const auto peak = [&](bool recompute) {
    const auto decoder = fresh(MlaOrthogonal::Config{}, {"all"}, config);
    decoder->recompute_layers(recompute);
    loss_of(*decoder, Precision::float32, 1).backward();  // gradients are there from now on
    return memory.peak_of([&] { loss_of(*decoder, Precision::float32, 2).backward(); });
  };
  const int64_t plain = peak(false), recomputed = peak(true);
  INFO(plain << " bytes, recomputed " << recomputed);
  // One layer's worth and eight inputs instead of eight layers' worth, a layer keeping some 20 times its input.
  CHECK(recomputed < plain / 3);
}

TEST_CASE("a pass without a graph is not changed by activation checkpointing") {
  const auto decoder = fresh();
  const torch::NoGradGuard no_grad;
  const auto plain = loss_of(*decoder, Precision::float32, 1);
  decoder->recompute_layers(true);
  CHECK(torch::equal(plain, loss_of(*decoder, Precision::float32, 1)));
}

}  // namespace
}  // namespace attnlab
