// bench_ranks --ranks N: how fast ranks reach each other.
#include <fmt/format.h>
#include <torch/version.h>

#include <functional>

#include "measure/bench_device.h"
#include "program.h"
#include "ranks_program.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  int64_t ranks = 0, repeats = 20;
  std::vector<int64_t> mib{4, 32, 256, 1024};
  std::string device = "auto";
};

// Milliseconds of one call, of several one behind the other: a GPU is waited for at the end alone.
double time_of(torch::Device device, int64_t repeats, const std::function<void()>& call) {
  for (int i = 0; i < 3; ++i) call();
  return median(times_of(device, 3,
                         [&] {
                           for (int64_t i = 0; i < repeats; ++i) call();
                         })) /
         static_cast<double>(repeats);
}

void bench(const Options& o, World& world) {
  require_range("--repeats", o.repeats, 1);
  const auto device = parse_device(o.device);
  if (world.is_alone())
    throw InputError(BadInput{.file = "--ranks", .found = "one rank", .expected = "two or more"});
  if (world.is_first())
    fmt::print(
        "{} ranks, each: {}, torch {}\n\n| MiB of float32 | all-reduce ms | GB/s | reduce-scatter ms | GB/s | "
        "all-gather ms | GB/s |\n|---:|---:|---:|---:|---:|---:|---:|\n",
        world.size(), device_title(device), TORCH_VERSION);
  for (const int64_t mib : o.mib) {
    require_range("--mib", mib, 1, int64_t{1} << 16);
    const int64_t numbers = (mib << 18) / world.size() * world.size();
    const auto flat = torch::zeros({numbers}, torch::dtype(torch::kFloat32).device(device));
    const auto own = torch::zeros({numbers / world.size()}, flat.options());
    std::string row = fmt::format("| {} |", mib);
    for (const auto& call : std::vector<std::function<PendingHandle()>>{
             [&] { return world.sum(flat); }, [&] { return world.sum_slice(own, flat); },
             [&] { return world.gather(flat, own); }}) {
      const double ms = time_of(device, o.repeats, [&] { call()->wait(); });
      row += fmt::format(" {:.3f} | {:.1f} |", ms, static_cast<double>(4 * numbers) / ms / 1e6);
    }
    if (world.is_first()) fmt::print("{}\n", row);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_ranks",
       .usage = "--ranks N [options]",
       .about = "Times sums and gathers of float32 between ranks. GB/s: bytes of the whole tensor by the "
                "time of a call.",
       .example = "bench_ranks --ranks 2 --mib 1 --repeats 2 --device cpu"});
  program.option("mib", o.mib, "N", "sizes; may be repeated (default: 4, 32, 256, 1024)")
      .option("repeats", o.repeats, "N", "calls one behind the other")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto");
  add_ranks_option(program, o.ranks);
  return program.run(argc, argv, [&] {
    return in_world("bench_ranks", o.ranks, argv, [&](World& world) {
      bench(o, world);
      return 0;
    });
  });
}
