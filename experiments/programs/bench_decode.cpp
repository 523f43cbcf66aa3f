// bench_decode: one step of generation at a given context, against reading weights and cache once.
#include <fmt/format.h>
#include <torch/version.h>

#include <limits>

#include "bench_form.h"
#include "cache_option.h"
#include "checkpoint/dtypes.h"
#include "measure/bench_device.h"
#include "measure/decode_rows.h"
#include "measure/decode_step.h"
#include "measure/largest_batch.h"
#include "measure/step_profile.h"
#include "measured_file.h"
#include "memory_option.h"
#include "model/cache_calibration.h"
#include "profile_option.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

constexpr int64_t kMostBatch = int64_t{1} << 16;

struct Options {
  BenchForm form;
  std::string out, cache, dtype = "bfloat16", device = "auto";
  std::vector<int64_t> contexts, batches;
  std::vector<std::string> limits;
  int64_t steps = 20, profile = 0;
  bool no_graph = false, resume = false;
  CacheConfig kept;             // what `cache` says
  std::vector<MemoryCap> caps;  // what `limits` say

  std::string title() const { return cache.empty() ? form.title() : form.title() + " " + cache; }
};

// Bytes per millisecond, read and written, of a copy that no cache holds.
double copy_bandwidth(torch::Device device) {
  const int64_t bytes = device.is_cuda() ? int64_t{1} << 32 : int64_t{1} << 28;
  const auto from = torch::ones({bytes}, torch::dtype(torch::kUInt8).device(device));
  auto to = torch::empty_like(from);
  const auto copy = [&] { to.copy_(from); };
  times_of(device, 1, copy);
  return 2 * static_cast<double>(bytes) / median(times_of(device, 10, copy));
}

// A step that is to be measured.
struct Point {
  int64_t context = 0, batch = 0;  // batch 0: the largest that fits
  MemoryCap cap;
};

// Each cap and batch at each context.
std::vector<Point> points_of(const Options& o) {
  std::vector<Point> points;
  for (const MemoryCap& cap : o.caps)
    for (const int64_t batch : o.batches)
      for (const int64_t context : o.contexts) points.push_back({context, batch, cap});
  return points;
}

class Bench {
 public:
  Bench(Decoder& decoder, const Options& o, double bytes_per_ms)
      : decoder_(decoder), o_(o), bytes_per_ms_(bytes_per_ms) {}

  // Without times and counts: what names the row.
  DecodeRow named(const Point& at) const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {.context = at.context,
            .batch = std::max<int64_t>(1, at.batch),
            .found = at.batch == 0 ? 1 : 0,
            .ms = none,
            .ms_min = none,
            .ms_max = none,
            .peak_gigabytes = none,
            .memory_limit = at.cap.gibibytes,
            .form = o_.title(),
            .shape = o_.form.shape,
            .dtype = o_.dtype,
            .device = device_title(decoder_.device())};
  }

  // Where memory does not suffice, even for one sequence if the batch is looked for, times stay NaN and why()
  // says it.
  DecodeRow row(const Point& at) {
    limit_memory(decoder_.device(), at.cap.bytes);
    profile_.clear();
    DecodeRow best = named(at);
    if (at.batch > 0) return tried(best, at.batch, at.cap.bytes);
    best = counted(best, 1);
    why_ = "one does not fit";
    const int64_t most = std::min(kMostBatch, counted_batch(decoder_, at.cap.bytes, at.context + 1, o_.kept));
    if (decoder_.device().is_cpu())
      return most > 0 ? tried(best, most / batch_step(most) * batch_step(most), 0) : best;
    largest_batch(most, [&](int64_t batch) {
      const DecodeRow seen = tried(best, batch, at.cap.bytes);
      if (seen.fits == 1) best = seen;
      return seen.fits == 1;
    });
    return best;
  }
  const std::string& why() const { return why_; }
  // Of the last row; empty without --profile or times.
  const std::string& profile() const { return profile_; }

 private:
  DecodeRow counted(DecodeRow row, int64_t batch) const {
    const double bytes = decode_bytes(decoder_, batch, row.context, o_.kept);
    row.batch = batch;
    row.gigabytes = bytes / 1e9;
    row.floor_ms = bytes / bytes_per_ms_;
    return row;
  }

  // `memory`: bytes; 0: what the device has. More is held than a step reads: all of the embedding.
  DecodeRow tried(const DecodeRow& named, int64_t batch, double memory) {
    DecodeRow row = counted(named, batch);
    const double total = memory > 0 ? memory : device_memory(decoder_.device()).total;
    why_ = "does not fit";
    if (total > 0 && batch > counted_batch(decoder_, total, row.context + 1, o_.kept)) return row;
    why_ = "out of memory";
    try {
      measure(row);
    } catch (const c10::OutOfMemoryError&) {
    }
    return row;
  }

  // Times of steps in ms, and the peak of memory.
  void measure(DecodeRow& row) {
    const torch::Device device = decoder_.device();
    restart_peak(device);
    constexpr int64_t unmeasured = 16;  // before the measured ones, a graph's trials among them
    const auto once = std::make_shared<DecodeStep>(decoder_, row.batch, row.context, read_cache_plan(o_.kept),
                                                   o_.steps + unmeasured);
    const auto step = repeatable_step([once] { (*once)(); }, device, !o_.no_graph);
    times_of(device, 3, step);
    const auto times = times_of(device, o_.steps, step);
    row.fits = 1;
    row.ms = median(times);
    row.ms_min = times.front();
    row.ms_max = times.back();
    row.peak_gigabytes = device_memory(device).peak / 1e9;
    profile_.clear();  // a smaller batch's
    profile_ = profiled_step(device, o_.profile, step);
  }

  Decoder& decoder_;
  const Options& o_;
  double bytes_per_ms_;
  std::string why_, profile_;
};

// Defaults, and what can be refused without a model.
void complete(Options& o, torch::Device device) {
  require_form(o.form);
  if (o.contexts.empty()) o.contexts.push_back(1024);
  for (const int64_t context : o.contexts) require_range("--context", context, 1, int64_t{1} << 24);
  for (const int64_t batch : o.batches) require_range("--batch", batch, 1, kMostBatch);
  require_range("--steps", o.steps, 1);
  require_profile(o.profile);
  require_rows_options(o.out, o.resume);
  o.caps = read_memory_caps(o.limits, device);
  if (o.batches.empty()) o.batches.push_back(o.caps.empty() ? 1 : 0);
  if (o.caps.empty()) o.caps.emplace_back();
}

void print_profile(const DecodeRow& row, const std::string& profile) {
  if (profile.empty()) return;
  fmt::print("\nA step of {}, context {}, batch {}:\n{}\n", row.form, row.context,
             batch_cell(row.batch, row.found == 1, row.memory_limit), profile);
}

void bench(Options o, int argc, char** argv) {
  const auto dtype = parse_dtype(o.dtype);
  const auto device = parse_device(o.device);
  complete(o, device);
  o.kept = read_cache_option(o.cache);
  note_idle_cache_keys(o.kept);
  auto decoder = folder_decoder(o.form, dtype, device);
  const auto form = decoder ? decoder->form() : form_of(o.form);
  require_cache_for(form, o.kept);
  if (o.kept.policy.policy == CachePolicyName::lazyllm)
    throw InputError(BadInput{.file = "--cache",
                              .key = "policy",
                              .found = "lazyllm",
                              .expected = "another policy: which tokens its layers run depends on the text"});

  DecodeFile kept(o.out, measured_facts(argc, argv, device));
  const double bytes_per_ms = copy_bandwidth(device);
  if (!decoder) decoder = random_decoder(form, dtype, device);
  fmt::print("{}, torch {}, {}; a copy moves {:.1f} GB/s\n\n", device_title(device), TORCH_VERSION,
             dtype_name(dtype), bytes_per_ms / 1e6);
  fmt::print("{}", decode_table_head());
  Bench bench(*decoder, o, bytes_per_ms);
  for (const Point& point : points_of(o)) {
    if (o.resume && kept.has(bench.named(point))) continue;
    if (!bench.profile().empty()) fmt::print("{}", decode_table_head());  // a table ends at a profile
    const DecodeRow row = bench.row(point);
    fmt::print("{}", decode_table_row(row, bench.why()));
    print_profile(row, bench.profile());
    std::fflush(stdout);
    kept.add(row);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_decode",
       .usage = "--form FORM --shape SHAPE [options] | --model DIR [options]",
       .about =
           "Times one step of generation (embedding, layers, logits, greedy choice) at a fixed context, with\n"
           "random weights and caches full of random numbers, on a GPU as a CUDA graph.\n"
           "GB/step = (weights, of the embedding only the rows that are looked up + batch · (context + 1) ·\n"
           "cached numbers per token) · bytes per number; with --cache, what the policy keeps. The floor is "
           "that over the bandwidth of a large\n"
           "copy in this run, bytes read and written counted. --model takes a folder's weights instead, and\n"
           "--bits packs the form's matrices as GPTQ's layout does.",
       .example = "bench_decode --form mla_absorbed --shape small --context 128 --context 256 --batch 2"});
  add_form_options(program, o.form);
  program.option("context", o.contexts, "N", "tokens in the caches; may be repeated (default 1024)")
      .option("batch", o.batches, "N", "sequences; may be repeated (default 1; with --memory-limit what fits)")
      .option("steps", o.steps, "N", "steps that are measured");
  add_rows_options(program, o.out, o.resume);
  program.flag("no-graph", o.no_graph, "launch each kernel of a step");
  add_profile_option(program, o.profile);
  add_memory_option(program, o.limits);
  add_cache_option(program, o.cache);
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o, argc, argv); });
}
