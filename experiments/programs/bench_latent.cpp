// bench_latent: attention of one new token over a latent that all heads share, as absorbed MLA decodes.
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>

#include "attention/attend_latent.h"
#include "kernels/latent_query.h"
#include "measure/bench_device.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string dtype = "bfloat16", device = "auto";
  std::vector<int64_t> batches, lengths;
  int64_t heads = 32, rank = 512, rope = 64, times = 10;
  bool uneven = false, no_graph = false;
};

// Calls take turns among several caches, so that none lies in the device's own cache already.
struct LatentCase {
  torch::Tensor q_BNW, mask_B11S;
  std::vector<torch::Tensor> latents_BSW;
  int64_t R = 0;
  double tokens = 0;  // that are looked at
};

LatentCase make_case(const Options& o, int64_t B, int64_t S, const torch::TensorOptions& options) {
  constexpr double enough = 256e6;
  const int64_t W = o.rank + o.rope;
  LatentCase of{.q_BNW = torch::randn({B, o.heads, W}, options),
                .mask_B11S = {},
                .latents_BSW = {},
                .R = o.rank,
                .tokens = static_cast<double>(B * S)};
  const double bytes = of.tokens * static_cast<double>(W * of.q_BNW.element_size());
  const auto caches = std::clamp<int64_t>(static_cast<int64_t>(enough / bytes) + 1, 1, o.times);
  for (int64_t i = 0; i < caches; ++i) of.latents_BSW.push_back(torch::randn({B, S, W}, options));
  if (!o.uneven) return of;
  const auto rows_B = torch::arange(B, options.dtype(torch::kInt64));
  const auto ends_B = S - rows_B % 4 * (S / 5);
  of.mask_B11S = torch::arange(S, options.dtype(torch::kInt64)) < ends_B.view({-1, 1, 1, 1});
  of.tokens = ends_B.sum().item<double>();
  return of;
}

using Way = std::function<void(const LatentCase&, const torch::Tensor& latent_BSW)>;

void by_products(const LatentCase& of, const torch::Tensor& latent_BSW) {
  attend_latent_products(of.q_BNW, latent_BSW, latent_BSW.size(1), of.R, of.mask_B11S, 0.05);
}

void by_choice(const LatentCase& of, const torch::Tensor& latent_BSW) {
  attend_latent(of.q_BNW, latent_BSW, latent_BSW.size(1), of.R, of.mask_B11S, {.scale = 0.05, .softcap = 0});
}

// Microseconds of a call, of `times` in one graph.
double time_of(const Way& way, const LatentCase& of, const Options& o) {
  const torch::Device device = of.q_BNW.device();
  const auto calls = [&] {
    for (int64_t i = 0; i < o.times; ++i)
      way(of, of.latents_BSW[static_cast<size_t>(i) % of.latents_BSW.size()]);
  };
  calls();
  return microseconds_in_a_row(device, o.times, !o.no_graph, calls);
}

void bench(Options o) {
  if (o.batches.empty()) o.batches = {1, 16, 128};
  if (o.lengths.empty()) o.lengths = {1024, 8192};
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, int64_t{1} << 16);
  for (const int64_t length : o.lengths) require_range("--length", length, 1, int64_t{1} << 24);
  require_range("--heads", o.heads, 1, 1024);
  require_range("--rank", o.rank, 1, 4096);
  require_range("--rope", o.rope, 0, 4096);
  require_range("--times", o.times, 1);
  const auto device = parse_device(o.device);
  const auto options = torch::dtype(parse_dtype(o.dtype)).device(device);
  const c10::InferenceMode inference;
  fmt::print("{}, torch {}, {}, {} heads, {} + {} numbers a token\n\n", device_title(device), TORCH_VERSION,
             o.dtype, o.heads, o.rank, o.rope);
  fmt::print(
      "| batch | length | kernel | attend_latent µs | TB/s | products µs |\n|---:|---:|---|---:|---:|---:|\n");
  for (const int64_t B : o.batches)
    for (const int64_t S : o.lengths) {
      const auto of = make_case(o, B, S, options);
      const auto& latent = of.latents_BSW[0];
      const double us = time_of(by_choice, of, o);
      const double bytes = of.tokens * static_cast<double>(latent.size(2) * latent.element_size());
      fmt::print("| {} | {} | {} | {:.1f} | {:.2f} | {:.1f} |\n", B, S,
                 fits_latent_query(of.q_BNW, latent, o.rank) ? "own" : "torch", us, bytes / us * 1e-6,
                 time_of(by_products, of, o));
      std::fflush(stdout);
    }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_latent",
       .usage = "[options]",
       .about = "Times attention of one new token of each sequence over a latent that all heads share "
                "(absorbed MLA):\n"
                "what `attend_latent` chooses, and two products with a softmax between them. TB/s: of the "
                "latent, read\n"
                "once.",
       .example = "bench_latent --device cpu --dtype float32 --batch 2 --length 100 --times 2"});
  program.option("batch", o.batches, "N", "sequences; may be repeated (default 1, 16, 128)")
      .option("length", o.lengths, "N", "tokens in the cache; may be repeated (default 1024, 8192)")
      .option("heads", o.heads, "N", "query heads")
      .option("rank", o.rank, "N", "numbers of a token that are keys and values")
      .option("rope", o.rope, "N", "numbers beside them that are keys alone")
      .option("times", o.times, "N", "calls in a row, of which the mean counts")
      .flag("uneven", o.uneven, "rows are full, or shorter by one to three fifths")
      .flag("no-graph", o.no_graph, "launch each call");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o); });
}
