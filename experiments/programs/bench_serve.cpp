// bench_serve: requests of half the context that are answered with the other half, with continuous batching.
#include <fmt/format.h>
#include <torch/version.h>

#include <limits>

#include "bench_form.h"
#include "checkpoint/dtypes.h"
#include "measure/bench_device.h"
#include "measure/largest_batch.h"
#include "measure/serve_rows.h"
#include "measure/serving.h"
#include "measured_file.h"
#include "memory_option.h"

namespace {

using namespace attnlab;

struct Options {
  BenchForm form;
  std::string out, dtype = "bfloat16", device = "auto";
  std::vector<int64_t> contexts;
  std::vector<std::string> limits;
  int64_t requests = 100, batch = 0, pass_tokens = 4096;
  bool no_graph = false, resume = false;
  std::vector<MemoryCap> caps;  // what `limits` say
};

class Bench {
 public:
  Bench(Decoder& decoder, const Options& o) : decoder_(decoder), o_(o) {}

  // Without times: what names the row.
  ServeRow named(int64_t context, const MemoryCap& cap) const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    return {.context = context,
            .requests = o_.requests,
            .batch = o_.batch > 0 ? o_.batch : 1,
            .found = o_.batch == 0 ? 1 : 0,
            .memory_limit = cap.gibibytes,
            .seconds = none,
            .tokens_per_second = none,
            .prefill_share = none,
            .peak_gigabytes = none,
            .form = o_.form.title(),
            .shape = o_.form.shape,
            .dtype = o_.dtype,
            .device = device_title(decoder_.device())};
  }

  // Where memory does not suffice times stay NaN.
  ServeRow row(int64_t context, const MemoryCap& cap) {
    limit_memory(decoder_.device(), cap.bytes);
    ServeRow row = named(context, cap);
    ServeOptions options{
        .requests = o_.requests, .context = context, .pass_tokens = o_.pass_tokens, .record = !o_.no_graph};
    const bool counted_only = decoder_.device().is_cpu();
    const auto fits = [&](int64_t batch) {
      options.batch = batch;
      return counted_only || in_memory([&] { try_serving(decoder_, options); });
    };
    int64_t batch = std::min(o_.requests, o_.batch > 0 ? o_.batch : most(context, cap));
    const int64_t step = o_.batch > 0 ? batch : batch_step(batch);
    if (o_.batch == 0) batch = largest_batch(batch, fits);
    // What was tried is not all: recordings of other widths stay, too.
    for (; batch > 0 && row.fits == 0; batch -= step) {
      options.batch = row.batch = batch;
      in_memory([&] { answer(options, row); });
    }
    return row;
  }

 private:
  int64_t most(int64_t context, const MemoryCap& cap) const {
    return cap.bytes > 0 ? counted_requests(decoder_, cap.bytes, context) : o_.requests;
  }

  bool in_memory(const std::function<void()>& call) const {
    restart_peak(decoder_.device());
    try {
      call();
    } catch (const c10::OutOfMemoryError&) {
      return false;
    }
    return true;
  }

  void answer(const ServeOptions& options, ServeRow& row) {
    const Served served = serve(decoder_, options);
    for (const auto& tokens : served.answers) row.output_tokens += std::ssize(tokens);
    ATTNLAB_CHECK(row.output_tokens == options.requests * options.answer_tokens());
    row.fits = 1;
    row.seconds = served.seconds;
    row.tokens_per_second = static_cast<double>(row.output_tokens) / served.seconds;
    row.prefill_share = served.report.prefill_seconds / served.seconds;
    row.peak_gigabytes = device_memory(decoder_.device()).peak / 1e9;
  }

  Decoder& decoder_;
  const Options& o_;
};

// Defaults, and what can be refused without a model.
void complete(Options& o, torch::Device device) {
  require_form(o.form);
  if (o.contexts.empty()) o.contexts.push_back(1024);
  for (const int64_t context : o.contexts) require_range("--context", context, 2, int64_t{1} << 24);
  require_range("--requests", o.requests, 1, int64_t{1} << 16);
  require_range("--batch", o.batch, 0, int64_t{1} << 16);
  require_range("--pass-tokens", o.pass_tokens, 1, int64_t{1} << 20);
  require_rows_options(o.out, o.resume);
  o.caps = read_memory_caps(o.limits, device);
  if (o.caps.empty()) o.caps.emplace_back();
}

void bench(Options o, int argc, char** argv) {
  const auto dtype = parse_dtype(o.dtype);
  const auto device = parse_device(o.device);
  complete(o, device);
  auto decoder = folder_decoder(o.form, dtype, device);
  const auto form = decoder ? decoder->form() : form_of(o.form);
  ServeFile kept(o.out, measured_facts(argc, argv, device));
  if (!decoder) decoder = random_decoder(form, dtype, device);
  fmt::print("{}, torch {}, {}\n\n{}", device_title(device), TORCH_VERSION, dtype_name(dtype),
             serve_table_head());
  Bench bench(*decoder, o);
  for (const MemoryCap& cap : o.caps)
    for (const int64_t context : o.contexts) {
      if (o.resume && kept.has(bench.named(context, cap))) continue;
      const ServeRow row = bench.row(context, cap);
      fmt::print("{}", serve_table_row(row, "does not fit"));
      std::fflush(stdout);
      kept.add(row);
    }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "bench_serve",
       .usage = "--form FORM --shape SHAPE [options] | --model DIR [options]",
       .about =
           "Times requests from the first prompt to the last token (the protocol of TransMLA's table 4): each "
           "a\n"
           "prompt of half the context and an answer of as many tokens, random ones, greedy, none ends early;\n"
           "as many at a time as fit into the memory, and one that waits takes the place of one that has "
           "ended.\n"
           "It is the engine of eval_model and generate_text: rows of fixed places, on a GPU steps as CUDA\n"
           "graphs. tokens/s: of answers, over all the time; prefill: the part of it in which prompts are "
           "read.",
       .example = "bench_serve --form mla_absorbed --shape small --context 64 --requests 8"});
  add_form_options(program, o.form);
  program.option("context", o.contexts, "N", "tokens of a request; may be repeated (default 1024)")
      .option("requests", o.requests, "N", "that are answered")
      .option("batch", o.batch, "N", "at a time, at most; 0: what fits, or all without --memory-limit")
      .option("pass-tokens", o.pass_tokens, "N", "tokens of prompts that go through the model at a time");
  add_rows_options(program, o.out, o.resume);
  program.flag("no-graph", o.no_graph, "launch each kernel of a step");
  add_memory_option(program, o.limits);
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { bench(o, argc, argv); });
}
