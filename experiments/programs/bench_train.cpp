// bench_train: one training step at a given shape, against the arithmetic that it cannot do without.
#include <fmt/format.h>
#include <torch/version.h>

#include <cmath>
#include <numeric>

#include "core/random.h"
#include "measure/bench_device.h"
#include "measure/step_profile.h"
#include "measure/train_shapes.h"
#include "profile_option.h"
#include "ranks_program.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string shape, arm = "gqa", precision = "float32", device = "auto", trainable = "all", shard = "none";
  int64_t batch = 8, length = 256, shortest = 0, steps = 20, warmup = 5, seed = 0;
  int64_t ranks = 0, profile = 0;
  double peak_tflops = 0;
  bool no_graph = false, recompute = false, losses = false;
};

// FLOP per millisecond of a large matrix product in the format of the step's products.
double product_speed(Precision precision, torch::Device device) {
  const int64_t n = device.is_cuda() ? 8192 : 2048;
  const auto dtype = precision == Precision::float32 ? torch::kFloat32 : torch::kBFloat16;
  const auto a = torch::randn({n, n}, torch::dtype(dtype).device(device)), b = torch::randn_like(a);
  auto out = torch::empty_like(a);
  const auto multiply = [&] { torch::mm_out(out, a, b); };
  times_of(device, 3, multiply);
  return 2.0 * static_cast<double>(n * n * n) / median(times_of(device, 10, multiply));
}

// The batches of all steps: of one length, or each step's drawn from --shortest to --length.
std::vector<Batch> step_batches(const Options& o, int64_t vocab, int64_t rows) {
  if (o.shortest == 0) return {random_batch(vocab, rows, o.length, o.seed)};
  std::vector<Batch> batches;
  Random random(static_cast<uint64_t>(o.seed), 1);
  for (int64_t step = 0; step < o.warmup + o.steps; ++step) {
    const auto length = random.between(o.shortest, o.length);
    batches.push_back(random_batch(vocab, rows, length, o.seed + step));
  }
  return batches;
}

TrainConfig config_of(const Options& o) {
  require_range("--batch", o.batch, 1, int64_t{1} << 16);
  require_range("--length", o.length, 2, int64_t{1} << 20);
  if (o.shortest != 0) require_range("--shortest", o.shortest, 2, o.length);
  require_range("--steps", o.steps, 1);
  require_range("--warmup", o.warmup, 0);
  require_range("--seed", o.seed, 0);
  require_profile(o.profile);
  return {.steps = o.warmup + o.steps + (o.profile > 0 ? 1 : 0),
          .batch_size = o.batch,
          .sequence_length = o.length,
          .schedule = Schedule::constant,
          .trainable = {o.trainable},
          .precision = parse_name<Precision>("--precision", o.precision),
          .activation_checkpointing = o.recompute,
          .cuda_graph = !o.no_graph,
          .shard = parse_name<Sharded>("--shard", o.shard)};
}

// Of all ranks together: --batch sequences at each.
void bench(const Options& o, World& world) {
  const auto shape = parse_name<TrainShape>("--shape", o.shape);
  require_name("--arm", o.arm, variant_names());
  const TrainConfig config = config_of(o);
  const auto precision = config.precision;
  const auto device = parse_device(o.device);
  const auto decoder = random_arm(train_config(shape, o.length), o.arm, config, device, o.seed);
  const double peak = o.peak_tflops > 0 ? o.peak_tflops * 1e9 : product_speed(precision, device);
  restart_peak(decoder->device());
  Trainer trainer(*decoder, config, nullptr, world);
  const int64_t rows = o.batch * world.size();
  const auto batches = step_batches(o, decoder->config().vocab_size, rows);
  int64_t step = 0, tokens = 0;
  StepResult last;
  std::vector<double> losses;
  const auto next = [&]() -> const Batch& { return batches[static_cast<size_t>(step++) % batches.size()]; };
  const auto run = [&] {
    const auto& batch = next();
    last = trainer.step(step, {batch});
    tokens += batch.rows * batch.columns;
    if (o.losses) losses.push_back(last.loss.item<double>());
  };
  times_of(device, o.warmup, run);
  tokens = 0;
  const auto times = times_of(device, o.steps, run);
  // Of one length the median step counts; of many all steps do.
  const double ms = o.shortest == 0
                        ? median(times)
                        : std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(o.steps);
  const double step_tokens = static_cast<double>(tokens) / static_cast<double>(o.steps);
  // Attention's share aside, which is small at the lengths that vary, FLOP go as tokens do.
  const double mean_length = step_tokens / static_cast<double>(rows);
  const double flops = step_flops(*decoder, rows, std::llround(mean_length));
  double peak_memory = 0;
  for (const auto& text : world.all_say(fmt::format("{:.0f}", device_memory(decoder->device()).peak)))
    peak_memory = std::max(peak_memory, std::stod(text));
  const double last_loss = last.loss.item<double>();
  const auto profile = profiled_step(device, o.profile, [&] {
    const auto& batch = next();
    trainer.step(step, {batch});
  });
  if (!world.is_first()) return;
  const auto lengths =
      o.shortest == 0 ? fmt::format("{}", o.length) : fmt::format("{}-{}", o.shortest, o.length);
  if (!world.is_alone()) fmt::print("{} ranks, each: ", world.size());
  fmt::print("{}, torch {}, {}; peak {:.1f} TFLOP/s ({})\n\n", device_title(decoder->device()), TORCH_VERSION,
             o.precision, peak / 1e9, o.peak_tflops > 0 ? "given" : "a large matrix product in this run");
  fmt::print(
      "| shape | arm | trained | batch | length | ms/step | min | max | tokens/s | TFLOP/step | MFU | peak GB "
      "|\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  fmt::print("| {} | {} | {} | {} | {} | {:.2f} | {:.2f} | {:.2f} | {:.0f} | {:.3f} | {:.1f} % | {:.2f} |\n",
             o.shape, o.arm, o.trainable, o.batch, lengths, ms, times.front(), times.back(),
             1000 * step_tokens / ms, flops / 1e12, 100 * flops / ms / peak / static_cast<double>(world.size()),
             peak_memory / 1e9);
  fmt::print("\nloss of the last step: {:.4f} nats\n", last_loss);
  for (size_t i = 0; i < losses.size(); ++i) fmt::print("loss of step {}: {:.9g}\n", i + 1, losses[i]);
  fmt::print("{}", profile);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_train",
       .usage = "--shape SHAPE [options]",
       .about =
           "Times a training step (forward, backward, clipping, AdamW) with random weights on a batch of "
           "random\n"
           "tokens.\n"
           "MFU = FLOP/step / (time of a step · peak). FLOP/step = forward (2 for each weight of a matrix and\n"
           "token, output matrix included, and 4 · heads · head width · visible tokens for attention, "
           "causally\n"
           "halved) + backward (2 for each weight and token for the inputs, 2 for each trained one for "
           "itself,\n"
           "attention twice). Of experts those count that a token goes through. Nothing is counted that a "
           "step\n"
           "computes again. The peak is --peak-tflops, or what a large matrix product reaches in this run.",
       .example = "bench_train --shape quickstart --arm mla_orthogonal --batch 2 --length 32 --steps 2"});
  program.option("shape", o.shape, "SHAPE", join(all_names<TrainShape>()) + " (required)")
      .option("arm", o.arm, "VARIANT", "an attention variant, at its default options")
      .option("trainable", o.trainable, "SCOPE", "all, attention, attention_kv, or a pattern of parameters")
      .option("batch", o.batch, "N", "sequences of a step, at each rank")
      .option("length", o.length, "N", "tokens of a sequence")
      .option("shortest", o.shortest, "N",
              "each step has a length of its own, from N to --length; 0: all --length")
      .option("precision", o.precision, "NAME", join(all_names<Precision>()))
      .option("steps", o.steps, "N", "steps that are measured")
      .option("warmup", o.warmup, "N", "steps before those")
      .option("peak-tflops", o.peak_tflops, "X", "what MFU is a share of")
      .option("seed", o.seed, "N", "of weights and tokens")
      .flag("recompute", o.recompute, "keep each layer's input alone and run the layer again (less memory)")
      .option("shard", o.shard, "WHAT",
              "with several ranks, what each keeps a part of: " + join(all_names<Sharded>()))
      .flag("losses", o.losses, "print the loss of each step")
      .flag("no-graph", o.no_graph, "on a GPU: launch each kernel of a step")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto");
  add_profile_option(program, o.profile);
  add_ranks_option(program, o.ranks);
  return program.run(argc, argv, [&] {
    return in_world("bench_train", o.ranks, argv, [&](World& world) {
      bench(o, world);
      return 0;
    });
  });
}
