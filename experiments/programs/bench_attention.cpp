// bench_attention: attention of one new token over a cache, in each of the kernels that could take it.
#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "attention/attend.h"
#include "kernels/fused.h"
#include "measure/bench_device.h"
#include "measure/decode_step.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string dtype = "bfloat16", device = "auto";
  std::vector<std::string> shapes;
  std::vector<int64_t> batches, lengths;
  int64_t times = 10;
  bool no_mask = false, no_graph = false;
};

struct Case {
  torch::Tensor q_BNTH, k_BGSH, v_BGSH, mask_B11S;
  double scale = 0;
  // The query heads of a KV head where its queries would stand.
  torch::Tensor by_kv_head() const {
    const int64_t B = q_BNTH.size(0), G = k_BGSH.size(1);
    return q_BNTH.view({B, G, -1, q_BNTH.size(3)});
  }
};

// A cache as it lies: [B, S, G, H]; half of the rows are shorter by a third.
Case make_case(const AttentionShape& shape, int64_t B, int64_t S, bool masked,
               const torch::TensorOptions& options) {
  const int64_t N = shape.n_heads, G = shape.n_kv_heads, H = shape.head_dim;
  const auto cache = [&] { return torch::randn({B, S, G, H}, options).transpose(1, 2); };
  Case of{.q_BNTH = torch::randn({B, N, 1, H}, options), .k_BGSH = cache(), .v_BGSH = cache()};
  of.scale = score_scale({}, H);
  if (!masked) return of;
  const auto places_S = torch::arange(S, options.dtype(torch::kInt64));
  const auto ends_B = S - torch::arange(B, options.dtype(torch::kInt64)) % 2 * (S / 3);
  of.mask_B11S = places_S < ends_B.view({-1, 1, 1, 1});
  return of;
}

enum class Fused { flash, efficient, cudnn, math };

// While it lives, torch may take this kernel alone.
class Only {
 public:
  explicit Only(Fused kernel) { set(kernel); }
  ~Only() {
    auto& context = at::globalContext();
    context.setSDPUseFlash(true), context.setSDPUseMemEfficient(true);
    context.setSDPUseCuDNN(true), context.setSDPUseMath(true);
  }

 private:
  static void set(Fused kernel) {
    auto& context = at::globalContext();
    context.setSDPUseFlash(kernel == Fused::flash), context.setSDPUseMemEfficient(kernel == Fused::efficient);
    context.setSDPUseCuDNN(kernel == Fused::cudnn), context.setSDPUseMath(kernel == Fused::math);
  }
};

using Way = std::pair<std::string, std::function<torch::Tensor(const Case&)>>;

Way fused_way(const std::string& name, Fused kernel, bool grouped) {
  return {name, [=](const Case& of) {
            const Only only(kernel);
            const auto mask = of.mask_B11S.defined() ? std::optional(of.mask_B11S) : std::nullopt;
            return at::scaled_dot_product_attention(grouped ? of.q_BNTH : of.by_kv_head(), of.k_BGSH, of.v_BGSH,
                                                    mask, 0.0, false, of.scale, grouped);
          }};
}

std::vector<Way> all_ways() {
  return {{"attend", [](const Case& of) { return attend(of.q_BNTH, of.k_BGSH, of.v_BGSH, of.mask_B11S); }},
          {"own",
           [](const Case& of) {
             return attend_single_query(of.by_kv_head(), of.k_BGSH, of.v_BGSH, of.mask_B11S, of.scale, 0);
           }},
          fused_way("efficient", Fused::efficient, false),
          fused_way("cudnn", Fused::cudnn, false),
          fused_way("cudnn, grouped", Fused::cudnn, true),
          fused_way("flash", Fused::flash, false),
          fused_way("flash, grouped", Fused::flash, true),
          fused_way("math", Fused::math, false)};
}

// Microseconds of a call, of `times` in one graph; empty where it does not take the case.
std::string time_of(const Way& way, const Case& of, const Options& o) {
  try {
    way.second(of);
  } catch (const c10::Error&) {
    return "";
  }
  const torch::Device device = of.q_BNTH.device();
  const auto calls = [&] {
    for (int64_t i = 0; i < o.times; ++i) way.second(of);
  };
  return fmt::format("{:.1f}", microseconds_in_a_row(device, o.times, !o.no_graph, calls));
}

void bench(Options o) {
  if (o.shapes.empty()) o.shapes = {"qwen2.5-0.5b", "qwen2.5-7b"};
  if (o.batches.empty()) o.batches = {1, 2, 4, 8, 16};
  if (o.lengths.empty()) o.lengths = {256, 1024, 4096, 16384};
  for (const auto& shape : o.shapes) parse_name<DecodeShape>("--shape", shape);
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, int64_t{1} << 16);
  for (const int64_t length : o.lengths) require_range("--length", length, 1, int64_t{1} << 24);
  require_range("--times", o.times, 1);
  const auto device = parse_device(o.device);
  const auto options = torch::dtype(parse_dtype(o.dtype)).device(device);
  const c10::InferenceMode inference;
  const auto ways = all_ways();
  fmt::print("{}, torch {}, {}; microseconds of a call\n\n| shape | batch | length |", device_title(device),
             TORCH_VERSION, o.dtype);
  for (const auto& way : ways) fmt::print(" {} |", way.first);
  fmt::print("\n|---|---:|---:|");
  for (size_t i = 0; i < ways.size(); ++i) fmt::print("---:|");
  fmt::print("\n");
  for (const auto& name : o.shapes) {
    const auto shape =
        decode_form(parse_name<DecodeShape>("--shape", name), "gqa", {}, {}).config.attention_shape();
    for (const int64_t B : o.batches)
      for (const int64_t S : o.lengths) {
        const Case of = make_case(shape, B, S, !o.no_mask, options);
        fmt::print("| {} | {} | {} |", name, B, S);
        for (const auto& way : ways) fmt::print(" {} |", time_of(way, of, o));
        fmt::print("\n");
        std::fflush(stdout);
      }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_attention",
       .usage = "[options]",
       .about =
           "Times attention of one new token of each sequence over a cache: what `attend` chooses, the kernel\n"
           "of one query, and torch's fused kernels, with a KV head's query heads as its queries or grouped.\n"
           "Empty: it does not take the case.",
       .example = "bench_attention --device cpu --dtype float32 --shape small --batch 2 --length 100"});
  program.option("shape", o.shapes, "SHAPE", "of bench_decode; may be repeated (default: both of Qwen2.5)")
      .option("batch", o.batches, "N", "sequences; may be repeated (default 1 to 16)")
      .option("length", o.lengths, "N", "tokens in the cache; may be repeated (default 256 to 16384)")
      .option("times", o.times, "N", "calls in a row, of which the mean counts")
      .flag("no-mask", o.no_mask, "all rows are full")
      .flag("no-graph", o.no_graph, "launch each call");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o); });
}
