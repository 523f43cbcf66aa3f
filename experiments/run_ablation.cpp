// run_ablation --config EXP.yaml: trains and evaluates every run of a plan, then prints the verdict.
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <sstream>
#include <thread>

#include "core/errors.h"
#include "core/interrupt.h"
#include "experiment/dry_run.h"
#include "experiment/runner.h"
#include "experiment/workers.h"

namespace {
namespace po = boost::program_options;
using namespace attnlab;

struct Options {
  PlanOptions plan;
  std::string config, shard = "1/1";
  int64_t jobs = 1, threads = 0;
  bool dry_run = false, worker = false, help = false;
  std::string help_text;
};

Options parse(int argc, char** argv) {
  Options o;
  po::options_description visible("Options");
  visible.add_options()("config", po::value(&o.config)->value_name("FILE"), "the experiment (required)")(
      "set", po::value(&o.plan.overrides)->value_name("KEY=VALUE"),
      "override one key of the config, dotted (train.lr=1e-3, arms.mla_identity.train.lr=1e-3); may be "
      "repeated")("out", po::value(&o.plan.results)->value_name("DIR"),
                  "folder of the results (default: results/EXPERIMENT)")(
      "dry-run", po::bool_switch(&o.dry_run), "print the plan and what it costs, run nothing")(
      "jobs", po::value(&o.jobs)->value_name("N"), "processes that work on the plan on this machine")(
      "shard", po::value(&o.shard)->value_name("I/N"), "only the I-th of N parts of the plan")(
      "threads", po::value(&o.threads)->value_name("N"), "CPU threads of each process (default: cores / jobs)")(
      "help", po::bool_switch(&o.help), "print this");
  po::options_description all;
  all.add(visible).add_options()("worker", po::bool_switch(&o.worker));
  po::variables_map values;
  const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::store(po::command_line_parser(argc, argv)
                .options(all)
                .positional(po::positional_options_description())
                .style(style)
                .run(),
            values);
  po::notify(values);
  std::ostringstream text;
  text
      << "Usage: run_ablation --config FILE [options]\nTrains and evaluates each arm of an experiment. Started "
         "again, it goes on where it stood.\n"
      << visible
      << "Example: run_ablation --config experiments/quickstart/exp.yaml --set train.steps=5 --out /tmp/try\n"
         "Exit codes: 0 done, 1 failed while running, 2 bad input, 130 interrupted (state saved)\n";
  o.help_text = text.str();
  return o;
}

void require_positive(const char* option, int64_t value, int64_t least) {
  if (value >= least) return;
  throw InputError(BadInput{.file = option,
                            .found = fmt::format("{}", value),
                            .expected = fmt::format("a whole number from {}", least)});
}

std::vector<std::string> worker_arguments(const Options& o, int64_t threads) {
  std::vector<std::string> out{"--worker", "--config",     o.config,
                               "--out",    o.plan.results, "--shard",
                               o.shard,    "--threads",    fmt::format("{}", threads)};
  for (const auto& text : o.plan.overrides) out.insert(out.end(), {"--set", text});
  return out;
}

int execute(Options o) {
  if (o.config.empty()) throw InputError(std::string("--config FILE is needed (see --help)"));
  require_positive("--jobs", o.jobs, 1);
  require_positive("--threads", o.threads, 0);
  o.plan.config = o.config;
  const Shard shard = parse_shard(o.shard);
  const Plan plan = make_plan(o.plan);
  const int64_t cores = std::max(1U, std::thread::hardware_concurrency());
  const int64_t threads = o.threads > 0 ? o.threads : std::max<int64_t>(1, cores / o.jobs);
  at::set_num_threads(static_cast<int>(threads));
  if (!o.worker) {
    const auto warnings = validate_plan(plan);
    if (o.dry_run) fmt::print("{}", format_costs(plan, count_runs(plan)));
    for (const auto& warning : warnings) fmt::print(stderr, "warning: {}\n", warning);
    if (o.dry_run) return 0;
  }
  if (o.jobs > 1) {
    o.plan.results = plan.results.string();
    if (const int code = run_workers(o.jobs, worker_arguments(o, threads)); code != 0) return code;
  } else {
    const RunnerReport report = run_plan(plan, shard);
    if (report.taken_by_others > 0 && !o.worker)
      fmt::print(stderr, "{} runs were left to other processes\n", report.taken_by_others);
  }
  if (!o.worker) fmt::print("{}", verdict_of_plan(plan));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  catch_interrupts();
  try {
    const Options options = parse(argc, argv);
    if (!options.help) return execute(options);
    fmt::print("{}", options.help_text);
    return 0;
  } catch (const Interrupted&) {
    fmt::print(stderr, "run_ablation: interrupted; the same command goes on from here\n");
    return 130;
  } catch (const InputError& error) {
    fmt::print(stderr, "run_ablation: {}\n", error.what());
    return 2;
  } catch (const po::error& error) {
    fmt::print(stderr, "run_ablation: {} (see --help)\n", error.what());
    return 2;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "run_ablation: {}\n", error.what_without_backtrace());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "run_ablation: {}\n", error.what());
    return 1;
  }
}
