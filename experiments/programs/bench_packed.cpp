// bench_packed: products of few rows with packed matrices, against the same matrix in 16 bits.
#include <fmt/format.h>
#include <torch/version.h>

#include "core/errors.h"
#include "measure/bench_device.h"
#include "measure/bench_models.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string dtype = "bfloat16", device = "auto";
  std::vector<std::string> shapes;
  std::vector<int64_t> bits, batches;
  int64_t group_size = 128, steps = 50;
  bool any_order = false;
};

struct MatrixShape {
  int64_t out = 0, in = 0;
};

MatrixShape read_shape(const std::string& text) {
  MatrixShape shape;
  size_t end = 0;
  try {
    shape.out = std::stoll(text, &end);
    if (end < text.size() && text[end] == 'x') shape.in = std::stoll(text.substr(end + 1));
  } catch (const std::exception&) {
  }
  const bool fits = shape.out > 0 && shape.in > 0 && shape.out <= 1 << 20 && shape.in <= 1 << 20 &&
                    text == fmt::format("{}x{}", shape.out, shape.in);
  if (!fits)
    throw InputError(BadInput{.file = "--shape", .found = text, .expected = "OUTxIN, such as 4096x11008"});
  if (const auto problem = packing_problem(shape.in, shape.out); !problem.empty())
    throw InputError(BadInput{.file = "--shape", .found = text, .expected = "multiples of 32"});
  return shape;
}

// Microseconds of one product of x with each of `matrices`, all in one step: in turn, so that no cache holds
// them.
template <class Matrix, class Multiply>
std::vector<double> product_times(const std::vector<Matrix>& matrices, const Options& o, torch::Device device,
                                  const Multiply& multiply) {
  const torch::NoGradGuard no_grad;
  // So many products that the host's part of a step is small beside them.
  const size_t products = device.is_cuda() ? std::max<size_t>(matrices.size(), 200) : matrices.size();
  const auto step = repeatable_step(
      [&] {
        for (size_t i = 0; i < products; ++i) multiply(matrices[i % matrices.size()]);
      },
      device, true);
  times_of(device, 3, step);
  auto times = times_of(device, o.steps, step);
  for (auto& time : times) time *= 1000 / static_cast<double>(products);
  return times;
}

// What lies in a GPU's caches must not be what is measured: more matrices than fit there.
template <class Make>
auto copies_of(double bytes, torch::Device device, const Make& make) {
  const double beyond_caches = device.is_cuda() ? 5e8 : 0;
  const auto count = std::max<int64_t>(2, static_cast<int64_t>(beyond_caches / bytes));
  std::vector<decltype(make())> copies;
  for (int64_t i = 0; i < count; ++i) copies.push_back(make());
  return copies;
}

double packed_bytes(const PackedMatrix& p) {
  double bytes = 0;
  for (const auto& part : {p.qweight, p.qzeros, p.scales, p.g_idx}) bytes += static_cast<double>(part.nbytes());
  return bytes;
}

void measure(const MatrixShape& s, const Options& o, torch::ScalarType dtype, torch::Device device) {
  const auto numbers = torch::dtype(dtype).device(device);
  const double whole_bytes = 2.0 * static_cast<double>(s.out * s.in);
  const auto whole = copies_of(whole_bytes, device, [&] {
    return torch::randn({s.out, s.in}, numbers) * 0.02;
  });
  for (const int64_t batch : o.batches) {
    const auto x = torch::randn({batch, s.in}, numbers);
    const auto plain = product_times(whole, o, device, [&](const auto& w) { return torch::linear(x, w); });
    for (const int64_t bits : o.bits) {
      const MatrixPacking packing{
          .bits = bits, .group_size = o.group_size, .desc_act = o.any_order, .sym = false};
      const auto make = [&] { return sort_columns(random_packed(packing, s.in, s.out, device), packing); };
      const double bytes = packed_bytes(make());
      const auto packed = copies_of(bytes, device, make);
      const auto times =
          product_times(packed, o, device, [&](const auto& w) { return packed_linear(x, w, packing); });
      fmt::print("| {}x{} | {} | {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.0f} |\n", s.out, s.in,
                 batch, bits, median(plain), median(times), times.front(), times.back(),
                 median(plain) / median(times), bytes / median(times) / 1e3);
      std::fflush(stdout);
    }
  }
}

void bench(Options o) {
  if (o.shapes.empty()) o.shapes = {"4096x4096", "11008x4096", "4096x11008"};
  if (o.bits.empty()) o.bits = {4};
  if (o.batches.empty()) o.batches = {1};
  std::vector<MatrixShape> shapes;
  for (const auto& text : o.shapes) shapes.push_back(read_shape(text));
  for (const int64_t bits : o.bits)
    if (const auto problem = quantize_problem(bits, o.group_size))
      throw InputError(BadInput{.file = problem->key == "bits" ? "--bits" : "--group-size",
                                .found = problem->found,
                                .expected = problem->expected});
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, int64_t{1} << 16);
  require_range("--steps", o.steps, 1);
  const auto dtype = parse_dtype(o.dtype);
  const auto device = parse_device(o.device);
  torch::manual_seed(0);
  fmt::print("{}, torch {}, {}, groups of {}{}\n\n", device_title(device), TORCH_VERSION, o.dtype, o.group_size,
             o.any_order ? " in any order" : "");
  fmt::print(
      "| out x in | batch | bits | whole µs | packed µs | min | max | whole / packed | GB/s |\n"
      "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const auto& shape : shapes) measure(shape, o, dtype, device);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_packed",
       .usage = "[options]",
       .about =
           "Times products of a few rows with matrices of 2, 3, 4 or 8 bits in GPTQ's layout, and with whole\n"
           "ones of the same shape: on a GPU as a CUDA graph over more matrices than its caches hold. "
           "Medians;\n"
           "GB/s: bytes of the packed matrix over the median.",
       .example = "bench_packed --bits 4 --bits 2 --batch 1 --batch 16"});
  program
      .option("shape", o.shapes, "OUTxIN",
              "of the matrix; may be repeated (default: Llama-2-7B's 4096x4096, 11008x4096, 4096x11008)")
      .option("bits", o.bits, "N", "2, 3, 4 or 8; may be repeated (default 4)")
      .option("batch", o.batches, "N", "rows; may be repeated (default 1)")
      .option("group-size", o.group_size, "N", "columns that share a scale; -1: all")
      .option("steps", o.steps, "N", "rounds that are measured")
      .flag("any-order", o.any_order, "columns of a group lie anywhere, as act_order leaves them");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o); });
}
