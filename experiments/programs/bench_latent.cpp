// bench_latent: attention of one new token over a latent that all heads share, as absorbed MLA decodes.
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <optional>

#include "attention/attend_latent.h"
#include "kernels/latent_query.h"
#include "measure/bench_device.h"
#include "state/latent_record.h"
#include "state/quantise.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string dtype = "bfloat16", device = "auto", storage = "dense";
  std::vector<int64_t> batches, lengths;
  int64_t heads = 32, rank = 512, rope = 64, times = 10;
  bool uneven = false, no_graph = false;
};

// As numbers, or as the codes that a cache of --storage keeps.
struct LatentCache {
  torch::Tensor latent_BSW;
  std::optional<CodedLatent> coded;
  torch::Tensor numbers() const {
    if (!coded) return latent_BSW;
    const auto& c = *coded;
    const auto dtype = c.rest_BPr.scalar_type();
    const bool fp8 = c.codes_BPR.scalar_type() == torch::kFloat8_e4m3fn;
    return torch::cat({fp8 ? from_fp8(c.codes_BPR.view(torch::kUInt8).contiguous(), c.scales_BPg, dtype)
                           : read_symmetric({c.codes_BPR, c.scales_BPg}, dtype),
                       c.rest_BPr},
                      2);
  }
};

// Calls take turns among several caches, so that none lies in the device's own cache already.
struct LatentCase {
  torch::Tensor q_BNW, mask_B11S;
  std::vector<LatentCache> caches;
  int64_t S = 0, R = 0;
  double tokens = 0;  // that are looked at
};

int64_t scale_group(const Options& o) { return std::min<int64_t>(o.rank, 128); }

double token_bytes(const Options& o, int64_t element) {
  const int64_t scales = o.rank / scale_group(o), rope = o.rope * element;
  if (o.storage == "fp8") return static_cast<double>(o.rank + 4 * scales + rope);
  return static_cast<double>(o.storage == "int8" ? o.rank + element * scales + rope : o.rank * element + rope);
}

LatentCache make_cache(const Options& o, const torch::Tensor& x_BSW) {
  if (o.storage == "dense") return {x_BSW, {}};
  if (o.storage == "fp8") {
    const LatentRecord form{.rank = o.rank, .rope = o.rope, .tile = scale_group(o), .scales = Fp8Scales::amax};
    return {{}, latent_of_records(to_record(x_BSW, form), form)};
  }
  const auto coded = quantise_symmetric(x_BSW.narrow(2, 0, o.rank), scale_group(o));
  return {{}, CodedLatent{coded.codes, coded.scale, x_BSW.narrow(2, o.rank, o.rope).contiguous(), {}}};
}

LatentCase make_case(const Options& o, int64_t B, int64_t S, const torch::TensorOptions& options) {
  constexpr double enough = 256e6;
  const int64_t W = o.rank + o.rope;
  LatentCase of{.q_BNW = torch::randn({B, o.heads, W}, options),
                .mask_B11S = {},
                .caches = {},
                .S = S,
                .R = o.rank,
                .tokens = static_cast<double>(B * S)};
  const double bytes = of.tokens * token_bytes(o, of.q_BNW.element_size());
  const auto caches = std::clamp<int64_t>(static_cast<int64_t>(enough / bytes) + 1, 1, o.times);
  for (int64_t i = 0; i < caches; ++i) of.caches.push_back(make_cache(o, torch::randn({B, S, W}, options)));
  if (!o.uneven) return of;
  const auto rows_B = torch::arange(B, options.dtype(torch::kInt64));
  const auto ends_B = S - rows_B % 4 * (S / 5);
  of.mask_B11S = torch::arange(S, options.dtype(torch::kInt64)) < ends_B.view({-1, 1, 1, 1});
  of.tokens = ends_B.sum().item<double>();
  return of;
}

using Way = std::function<void(const LatentCase&, const LatentCache&)>;

constexpr double kScale = 0.05;

void by_products(const LatentCase& of, const LatentCache& cache) {
  attend_latent_products(of.q_BNW, cache.numbers(), of.S, of.R, of.mask_B11S, kScale);
}

bool has_own_kernel(const LatentCase& of, const LatentCache& cache) {
  return cache.coded ? fits_latent_query(of.q_BNW, *cache.coded)
                     : fits_latent_query(of.q_BNW, cache.latent_BSW, of.R);
}

void by_choice(const LatentCase& of, const LatentCache& cache) {
  const ScoreForm form{.scale = kScale, .softcap = 0};
  if (cache.coded && has_own_kernel(of, cache))
    attend_latent(of.q_BNW, *cache.coded, of.S, of.mask_B11S, form);
  else
    attend_latent(of.q_BNW, cache.numbers(), of.S, of.R, of.mask_B11S, form);
}

// Microseconds of a call, of `times` in one graph.
double time_of(const Way& way, const LatentCase& of, const Options& o) {
  const torch::Device device = of.q_BNW.device();
  const auto calls = [&] {
    for (int64_t i = 0; i < o.times; ++i) way(of, of.caches[static_cast<size_t>(i) % of.caches.size()]);
  };
  calls();
  return microseconds_in_a_row(device, o.times, !o.no_graph, calls);
}

void check(const Options& o) {
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, int64_t{1} << 16);
  for (const int64_t length : o.lengths) require_range("--length", length, 1, int64_t{1} << 24);
  require_range("--heads", o.heads, 1, 1024);
  require_range("--rank", o.rank, 1, 4096);
  require_range("--rope", o.rope, 0, 4096);
  require_range("--times", o.times, 1);
  require_name("--storage", o.storage, {"dense", "int8", "fp8"});
  if (o.storage == "dense") return;
  if (o.dtype != "bfloat16")
    throw InputError(BadInput{.file = "--dtype", .found = o.dtype, .expected = "bfloat16 beside codes"});
  if (o.rank % scale_group(o) != 0 || o.rank % 4 != 0 || o.rope % 2 != 0)
    throw InputError(BadInput{.file = "--rank",
                              .found = fmt::format("{} + {}", o.rank, o.rope),
                              .expected = "codes in groups of 128 (or one of 4, 8, …), an even --rope"});
}

void print_case(const Options& o, int64_t B, int64_t S, const torch::TensorOptions& options) {
  const auto of = make_case(o, B, S, options);
  const double us = time_of(by_choice, of, o);
  const double bytes = of.tokens * token_bytes(o, of.q_BNW.element_size());
  fmt::print("| {} | {} | {} | {:.1f} | {:.2f} | {:.1f} |\n", B, S,
             has_own_kernel(of, of.caches[0]) ? "own" : "torch", us, bytes / us * 1e-6,
             time_of(by_products, of, o));
  std::fflush(stdout);
}

void bench(Options o) {
  if (o.batches.empty()) o.batches = {1, 16, 128};
  if (o.lengths.empty()) o.lengths = {1024, 8192};
  check(o);
  const auto device = parse_device(o.device);
  const auto options = torch::dtype(parse_dtype(o.dtype)).device(device);
  const c10::InferenceMode inference;
  fmt::print("{}, torch {}, {}, {}, {} heads, {} + {} numbers a token\n\n", device_title(device), TORCH_VERSION,
             o.dtype, o.storage, o.heads, o.rank, o.rope);
  fmt::print(
      "| batch | length | kernel | attend_latent µs | TB/s | products µs |\n|---:|---:|---|---:|---:|---:|\n");
  for (const int64_t B : o.batches)
    for (const int64_t S : o.lengths) print_case(o, B, S, options);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_latent",
       .usage = "[options]",
       .about =
           "Times attention of one new token of each sequence over a latent that all heads share "
           "(absorbed MLA):\n"
           "what `attend_latent` chooses, and two products with a softmax between them, behind decoding if "
           "the\n"
           "latent is kept as codes. TB/s: of the latent as it is kept, read once.",
       .example = "bench_latent --device cpu --dtype float32 --batch 2 --length 100 --times 2"});
  program.option("batch", o.batches, "N", "sequences; may be repeated (default 1, 16, 128)")
      .option("length", o.lengths, "N", "tokens in the cache; may be repeated (default 1024, 8192)")
      .option("heads", o.heads, "N", "query heads")
      .option("rank", o.rank, "N", "numbers of a token that are keys and values")
      .option("rope", o.rope, "N", "numbers beside them that are keys alone")
      .option("storage", o.storage, "NAME",
              "how the latent is kept: dense, int8 or fp8 (a scale for 128 neighbours; the rest as it is)")
      .option("times", o.times, "N", "calls in a row, of which the mean counts")
      .flag("uneven", o.uneven, "rows are full, or shorter by one to three fifths")
      .flag("no-graph", o.no_graph, "launch each call");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o); });
}
