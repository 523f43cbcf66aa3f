// run_ablation --config EXP.yaml: trains and evaluates every run of a plan, then prints the verdict.
#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "config/document.h"
#include "core/cores.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "experiment/inputs/provenance.h"
#include "experiment/plan/config_reference.h"
#include "experiment/rates/rate_range.h"
#include "experiment/run/claims_dry_run.h"
#include "experiment/run/dry_run.h"
#include "experiment/run/run_plan.h"
#include "experiment/run/runner.h"
#include "experiment/run/workers.h"
#include "experiment/tasks/run_tasks.h"
#include "program.h"
#include "ranks_program.h"
#include "torch_program.h"

namespace {
using namespace attnlab;

struct Options {
  PlanOptions plan;
  std::string config, claims, shard = "1/1";
  int64_t jobs = 1, threads = 0, ranks = 0;
  bool dry_run = false, range_test = false, help_config = false, worker = false;
};

std::vector<std::string> worker_arguments(const Options& o, int64_t threads) {
  std::vector<std::string> out{"--worker", "--config", o.config, "--out", o.plan.results, "--shard", o.shard};
  out.insert(out.end(), {"--threads", fmt::format("{}", threads), "--ranks", fmt::format("{}", o.ranks)});
  for (const auto& text : o.plan.overrides) out.insert(out.end(), {"--set", text});
  if (!o.claims.empty()) out.insert(out.end(), {"--claims", o.claims});
  return out;
}

// Of all runs' configs, defaults included.
std::string digest_of(const Plan& plan) {
  std::string text;
  for (const auto& run : plan.runs) text += to_yaml(flatten(run.config));
  return sha256(text);
}

// Names the runs that failed; returns the exit code.
int report_failures(const std::vector<RunFailure>& failures) {
  for (const auto& failure : failures)
    fmt::print(stderr, "run_ablation: {} failed: {}\n", failure.run, failure.message);
  if (failures.empty()) return 0;
  const bool bad_input =
      std::any_of(failures.begin(), failures.end(), [](const auto& failure) { return failure.bad_input; });
  return bad_input ? 2 : 1;
}

// On a terminal it says at once that something is done.
std::vector<std::string> validate(const Plan& plan, int64_t ranks) {
  ProgressLine line;
  if (line.on_terminal())
    line.update(fmt::format("checking {} runs: base, data, device", plan.runs.size()), true);
  return validate_plan(plan, ranks);
}

void check_options(const Options& o, const World& world) {
  require_given("--config", o.config, "the experiment's file");
  require_range("--jobs", o.jobs, 1);
  if (o.dry_run && o.range_test)
    throw InputError(
        BadInput{.file = "--dry-run", .found = "--lr-range-test beside it", .expected = "one of the two"});
  if (!world.is_alone() && (o.jobs > 1 || o.range_test))
    throw InputError(
        BadInput{.file = o.jobs > 1 ? "--jobs" : "--lr-range-test",
                 .found = fmt::format("it in one of {} ranks", world.size()),
                 .expected = o.jobs > 1 ? "--jobs J --ranks N, started by neither torchrun, srun nor mpirun"
                                        : "one process: --ranks 1"});
}

int execute(Options o, World& world) {
  if (o.help_config) {
    fmt::print("{}", config_reference());
    return 0;
  }
  check_options(o, world);
  const int64_t together = std::max(o.ranks, world.size());  // on a run
  o.plan.config = o.config;
  o.plan.claims = o.claims;
  const Shard shard = parse_shard(o.shard);
  const Plan plan = make_plan(o.plan);
  world.require_same("config (SHA-256 of the plan)", digest_of(plan));
  const int64_t cores = usable_cores();
  // The same number of threads adds in the same order.
  const int64_t before = plan.repeats ? threads_in(plan.repeats->provenance) : 0;
  const int64_t threads =
      o.threads > 0 ? o.threads
      : before > 0
          ? before
          : std::max<int64_t>(1, cores / (o.jobs * std::max(world.local_size(), o.jobs > 1 ? o.ranks : 1)));
  at::set_num_threads(static_cast<int>(threads));
  std::vector<std::string> warnings;
  if (!o.worker) world.first_does([&] { warnings = validate(plan, together); });
  if (!o.worker && world.is_first()) {
    if (o.dry_run) {
      const auto costs = count_runs(plan);
      fmt::print("{}{}{}{}", format_costs(plan, costs, together), describe_data(plan),
                 describe_plan_tasks(plan), describe_claims(plan, costs));
    }
    for (const auto& warning : warnings) fmt::print(stderr, "warning: {}\n", warning);
  }
  if (o.dry_run) return 0;
  if (!o.worker) {
    if (o.range_test) {
      fmt::print("{}", test_rate_ranges(plan));
      return 0;
    }
  }
  int code = 0;
  if (o.jobs > 1) {
    o.plan.results = plan.results.string();
    code = run_workers(o.jobs, worker_arguments(o, threads), steps_to_do(plan, shard), o.ranks);
    if (code > 2) return code;
  } else {
    const RunnerReport report = run_plan(plan, shard, o.worker, world);
    if (!world.is_first()) return report.failures.empty() ? 0 : 1;
    code = report_failures(report.failures);
    if (!report.left_to_others.empty() && !o.worker)
      fmt::print(stderr, "left to other processes: {}\n", fmt::join(report.left_to_others, ", "));
  }
  if (!o.worker && world.is_first()) fmt::print("{}", verdict_of_plan(plan));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  catch_interrupts();
  Options o;
  TorchProgram program(
      {.name = "run_ablation",
       .usage = "--config FILE [options]",
       .about = "Trains and evaluates each arm of an experiment. Started again, it goes on where it stood.",
       .example = "run_ablation --config experiments/quickstart/exp.yaml --set train.steps=5 --out /tmp/try",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted (state saved)",
       .interrupted = "interrupted; the same command goes on from here"},
      &o.threads);
  program
      .option(
          "config", o.config, "FILE",
          "the experiment (required), or the .h5 file of a run, which is then repeated as it was, by default "
          "below results/EXPERIMENT_repeat")
      .option("set", o.plan.overrides, "KEY=VALUE",
              "override one key of the config, dotted (train.lr=1e-3, arms.mla_identity.train.lr=1e-3, "
              "'sweep.train.lr=[1e-3, 2e-3]'); may be repeated")
      .option("claims", o.claims, "FILE",
              "plan the tests of this claims file, too, that are about this experiment and say what matters")
      .option("out", o.plan.results, "DIR", "folder of the results (default: results/EXPERIMENT)")
      .flag("dry-run", o.dry_run, "print the plan and what it costs, run nothing")
      .flag("help-config", o.help_config, "print every key of the experiment's file, as Markdown")
      .flag("lr-range-test", o.range_test,
            "instead of the runs, train each arm for 100 steps at rates from 1e-6 to 1, and suggest one")
      .option("jobs", o.jobs, "N", "processes that work on the plan on this machine")
      .option("shard", o.shard, "I/N", "only the I-th of N parts of the plan")
      .option(
          "threads", o.threads, "N",
          "CPU threads of each process; 0: cores that it may use / jobs, or those of the run that is repeated")
      .hidden_flag("worker", o.worker);
  add_ranks_option(program, o.ranks);
  return program.run(argc, argv, [&] {
    const bool starts_none = o.dry_run || (o.jobs > 1 && o.ranks > 1);  // or workers, which start their ranks
    return in_world("run_ablation", starts_none ? 1 : o.ranks, argv,
                    [&](World& world) { return execute(o, world); });
  });
}
