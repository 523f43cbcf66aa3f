// fit_teacher: how well each form of attention fits a random layer of another form, at an equal cache.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "core/cores.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "measure/fit_plan.h"
#include "measured_file.h"
#include "torch_program.h"

namespace {

using namespace attnlab;
using Clock = std::chrono::steady_clock;

// "fitting: step 4.10k of 36.0k, 12s, 1m40s left".
class Progress {
 public:
  void operator()(const std::string& what, int64_t done, int64_t of) {
    if (interrupted()) throw Interrupted{};
    if (what != what_) start_ = Clock::now();
    what_ = what;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const double left = seconds / static_cast<double>(done) * static_cast<double>(of - done);
    line_.update(fmt::format("{}: step {} of {}, {}, {} left", what, format_count(static_cast<double>(done)),
                             format_count(static_cast<double>(of)), format_duration(seconds),
                             format_duration(left)));
  }

 private:
  ProgressLine line_;
  std::string what_;
  Clock::time_point start_;
};

double mean_at(const FitPair& pair, int64_t step) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& row : pair.rows)
    if (row.step == step) sum += row.error, ++count;
  return sum / static_cast<double>(count);
}

void print_table(const std::vector<FitPair>& pairs, const FitOptions& o) {
  fmt::print(
      "Error: mean square of the difference over that of the teacher's output; mean over {} seed{}.\n\n"
      "| teacher | student | start | cached | parameters | rate | first error | last error | best of starts |\n"
      "|---|---|---|---:|---:|---:|---:|---:|---:|\n",
      o.seeds, o.seeds == 1 ? "" : "s");
  for (const auto& pair : pairs) {
    const FitRow& last = pair.rows.back();
    double best = 0;
    for (const double error : pair.best) best += error / static_cast<double>(pair.best.size());
    fmt::print("| {} | {} | {} | {} | {} | {} | {:.2e} | {:.2e} | {} |\n", last.teacher, last.student,
               last.start, last.cached, last.parameters, pair.converted ? "" : fmt::format("{}", pair.rate),
               mean_at(pair, 0), mean_at(pair, last.step),
               pair.starts > 1 ? fmt::format("{:.2e} of {}", best, pair.starts) : "");
  }
}

[[noreturn]] void refuse(const char* option, const std::string& found, const std::string& expected) {
  throw InputError(BadInput{.file = option, .found = found, .expected = expected});
}

// Throws InputError for what cannot be fitted. Settles the device and what was left open.
void check_options(FitOptions& o) {
  require_measured_name(o.out);
  if (!o.teacher.empty()) require_name("--teacher", o.teacher, {"gqa", "mla"});
  FitSetting& s = o.setting;
  require_range("--seeds", o.seeds, 1, 1000);
  require_range("--restarts", o.restarts, 1, 1000);
  require_range("--steps", s.steps, 1);
  require_range("--batch", s.batch, 1);
  require_range("--length", s.length, 2);
  require_range("--d-model", s.d_model, 1);
  require_range("--heads", s.n_heads, 2);
  require_range("--kv-heads", s.n_kv_heads, 1);
  require_range("--head-dim", s.head_dim, 2);
  if (s.n_kv_heads >= s.n_heads || s.n_heads % s.n_kv_heads != 0)
    refuse("--kv-heads", fmt::format("{}", s.n_kv_heads),
           fmt::format("a divisor of --heads = {} that is less", s.n_heads));
  if (s.head_dim % 2 != 0)
    refuse("--head-dim", fmt::format("{}", s.head_dim), "an even number: rotary position turns pairs");
  if (o.rates.empty()) o.rates = {0.01, 0.02, 0.04};
  for (const double rate : o.rates)
    if (!(rate > 0 && rate <= 1)) refuse("--rate", fmt::format("{}", rate), "a number above 0, at most 1");
  s.device = parse_device(o.device);
  if (o.threads == 0) o.threads = usable_cores();
}

void run(FitOptions o, int argc, char** argv) {
  check_options(o);
  catch_interrupts();
  Measurements measured{.provenance = measured_facts(argc, argv, o.setting.device)};
  Progress progress;
  const auto pairs = fit_all(o, std::ref(progress));
  for (auto& fact : facts_of(o, pairs)) measured.provenance.push_back(std::move(fact));
  for (const auto& pair : pairs) measured.fits.insert(measured.fits.end(), pair.rows.begin(), pair.rows.end());
  write_measurements(o.out, measured);
  print_table(pairs, o);
}

}  // namespace

int main(int argc, char** argv) {
  FitOptions o;
  FitSetting& s = o.setting;
  TorchProgram program(
      {.name = "fit_teacher",
       .usage = std::string("--out FILE") + measurements_ending + " [options]",
       .about =
           "Fits attention layers to random ones of another form that cache as much: GQA can be written as\n"
           "MLA, and MLA not as GQA. A student starts from random weights, or from the converted teacher.\n"
           "Learning rates are compared on a seed of their own, for each teacher and student.",
       .example = "fit_teacher --out /tmp/fit.measured.h5 --seeds 1 --steps 100 --restarts 1"},
      &o.threads);
  program.option("out", o.out, "FILE", std::string("file to write, NAME") + measurements_ending + " (required)")
      .option("teacher", o.teacher, "FORM", "gqa or mla alone; absent: both")
      .option("seeds", o.seeds, "N", "teachers of each form")
      .option("restarts", o.restarts, "N", "starts of each student of an MLA teacher: what no start removes")
      .option("steps", s.steps, "N", "optimiser steps of a fit")
      .option("rate", o.rates, "R", "learning rate to try; may be repeated (default 0.01, 0.02, 0.04)")
      .option("batch", s.batch, "N", "sequences of a step")
      .option("length", s.length, "N", "tokens of a sequence")
      .option("d-model", s.d_model, "N", "width of the inputs")
      .option("heads", s.n_heads, "N", "query heads")
      .option("kv-heads", s.n_kv_heads, "N", "KV heads of gqa")
      .option("head-dim", s.head_dim, "N", "width of a head")
      .option("device", o.device, "DEVICE", "cpu, cuda, cuda:N, or auto")
      .option("threads", o.threads, "N",
              "fits at a time, each on one thread; 0: as many as cores that it may use");
  return program.run(argc, argv, [&] { run(o, argc, argv); });
}
