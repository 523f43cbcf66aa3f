#include "experiment/run/run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "core/files.h"
#include "core/interrupt.h"
#include "experiment/inputs/provenance.h"
#include "experiment/rates/rate_selection.h"
#include "experiment/run/run_one.h"
#include "experiment/run/run_state.h"
#include "train/determinism.h"
#include "train/state_file.h"

namespace attnlab {
namespace {

template <class Action>
std::optional<RunFailure> failure_of(const Action& action) {
  try {
    action();
  } catch (const InputError& error) {
    return RunFailure{.message = error.what(), .bad_input = true};
  } catch (const c10::Error& error) {
    return RunFailure{.message = error.what_without_backtrace()};
  } catch (const std::exception& error) {
    return RunFailure{.message = error.what()};
  }
  return std::nullopt;
}

// "gqa seed 0 (node3, process 4711)"
std::string with_holder(const PlannedRun& run) {
  const std::string holder = FileLock(files_of(run).lock).holder();
  return run_name(run) + (holder.empty() ? "" : " (" + holder + ")");
}

bool wants_determinism(const PlannedRun& run) { return run.config.train.deterministic; }

// One process's work on a plan.
class PlanWorker {
 public:
  PlanWorker(const Plan& plan, const Shard& shard, bool worker, World& world)
      : world_(world),
        plan_(plan),
        inputs_(plan_, token_folder()),
        teachers_(plan_),
        reporter_(plan.runs.size(), steps_of(plan, shard), worker, !world.is_first()) {
    for (size_t i = 0; i < plan.runs.size(); ++i)
      if (shard.holds(i)) todo_.push_back(i);
    if (std::any_of(plan.runs.begin(), plan.runs.end(), wants_determinism)) prepare_determinism();
  }

  // Runs that wait for a learning rate are looked at again and again; meanwhile this process does what it can
  // of the runs that choose it, in whoever's part of the plan they lie, so that no process waits for one that
  // is not there.
  // What others work on is looked at again once there is nothing else to do, as long as something was done in
  // between: who held a run may have been killed meanwhile.
  RunnerReport work() {
    if (!world_.is_first()) return follow();
    try {
      const RunnerReport report = lead();
      world_.first_says([] { return "end"; });
      return report;
    } catch (const Interrupted&) {
      // Ranks that wait for the next run hear of it; those that were in one know.
      if (!in_run_) world_.first_says([]() -> std::string { return "interrupted"; });
      throw;
    }
  }

 private:
  RunnerReport lead() {
    std::vector<size_t> taken;
    for (bool first = true; !todo_.empty(); first = false) {
      std::vector<size_t> waiting;
      bool progress = false;
      for (const size_t place : todo_) {
        Outcome outcome = attempt(place);
        if (outcome == Outcome::waiting) {
          progress |= help(plan_.selections[*plan_.runs[place].selection]);
          outcome = attempt(place);
        }
        if (outcome == Outcome::waiting) waiting.push_back(place);
        if (outcome == Outcome::taken) taken.push_back(place);
        progress |= outcome == Outcome::finished;
        count(place, outcome, first);
      }
      todo_ = waiting;
      if (!todo_.empty() && !progress) interruptible_sleep(std::chrono::milliseconds(500));
      if (todo_.empty() && progress) todo_.swap(taken);
    }
    for (const size_t place : taken) report_.left_to_others.push_back(with_holder(plan_.runs[place]));
    return report_;
  }

  // Of another rank than the first: joins that one in its runs.
  RunnerReport follow() {
    for (;;) {
      const std::string said = world_.first_says({});
      if (said == "interrupted") throw Interrupted{};
      if (said == "end") return report_;
      std::istringstream in(said);
      size_t place = 0;
      std::string rate;
      in >> place >> rate;
      PlannedRun& run = plan_.runs[place];
      run.config.train.lr = std::strtod(rate.c_str(), nullptr);
      run.rate_is_open = false;
      const auto failure = execute(place);
      if (failure && failure->bad_input) report_.failures.push_back(*failure);
    }
  }

  // A run with all ranks. What all of them failed in does not keep them from the next one.
  std::optional<RunFailure> execute(size_t place) {
    PlannedRun& run = plan_.runs[place];
    in_run_ = true;
    auto failure = failure_of(
        [&] { run_one(plan_, run, inputs_, teachers_, find_device(run.config.device), reporter_, world_); });
    in_run_ = false;
    if (failure) world_.settle(run_name(run) + ": " + failure->message);
    return failure;
  }

  enum class Outcome { complete_before, taken, waiting, finished, failed };

  static int64_t steps_of(const Plan& plan, const Shard& shard) {
    int64_t steps = 0;
    for (size_t i = 0; i < plan.runs.size(); ++i)
      if (shard.holds(i)) steps += plan.runs[i].config.train.steps;
    return steps;
  }

  void count(size_t place, Outcome outcome, bool first) {
    const bool skipped = outcome == Outcome::complete_before || outcome == Outcome::taken;
    if (skipped && skipped_.insert(place).second) reporter_.skip(plan_.runs[place].config.train.steps);
    report_.complete_before += outcome == Outcome::complete_before && first;
  }

  // A kill between a run's last write and the end of its state leaves the state. A folder that can only be read
  // keeps it.
  static Outcome complete(const PlannedRun& run) {
    failure_of([&] { remove_states(files_of(run).state); });
    return Outcome::complete_before;
  }

  Outcome attempt(size_t place) {
    PlannedRun& run = plan_.runs[place];
    if (failed_.count(place)) return Outcome::failed;
    if (is_settled(run)) return complete(run);
    if (run.rate_is_open && !find_rate(place)) return failed_.count(place) ? Outcome::failed : Outcome::waiting;
    FileLock lock(files_of(run).lock);
    if (!lock.try_lock()) return Outcome::taken;
    if (is_settled(run)) return complete(run);  // by another process, just now
    auto failure = failure_of([&] {
      if (run.selection) check_same_config(run);
    });
    if (!failure) {
      world_.first_says([&] { return fmt::format("{} {:a}", place, run.config.train.lr); });
      failure = execute(place);
    }
    if (failure && is_settled(run)) {
      reporter_.note(failure->message);  // a rate that is too high
    } else if (failure) {
      fail(place, *failure);
      return Outcome::failed;
    }
    ++report_.finished;
    return Outcome::finished;
  }

  void fail(size_t place, RunFailure failure) {
    failure.run = run_name(plan_.runs[place]);
    reporter_.note(fmt::format("{} failed: {}", failure.run, failure.message));
    report_.failures.push_back(failure);
    failed_.insert(place);
  }

  // True if the run's rate is known from now on. A selection that cannot be made fails the run.
  bool find_rate(size_t place) {
    PlannedRun& run = plan_.runs[place];
    const RateSelection& selection = plan_.selections[*run.selection];
    for (const size_t chooser : selection.runs)
      if (failed_.count(chooser)) {
        fail(place,
             {.message = "its learning rate is not chosen: " + run_name(plan_.runs[chooser]) + " failed"});
        return false;
      }
    std::optional<RateChoice> choice;
    if (const auto failure = failure_of([&] { choice = choose_rate(plan_, selection); })) fail(place, *failure);
    if (!choice) return false;
    resolve_rate(run, *choice);
    if (told_.insert(*run.selection).second)
      reporter_.note(fmt::format("{}: learning rate {}", run.config.arm.name, choice->note));
    return true;
  }

  // True if something was done for the selection.
  bool help(const RateSelection& selection) {
    bool progress = false;
    for (const size_t place : selection.runs) progress |= attempt(place) == Outcome::finished;
    return progress;
  }

  World& world_;
  bool in_run_ = false;
  Plan plan_;
  Inputs inputs_;
  Teachers teachers_;
  Reporter reporter_;
  RunnerReport report_;
  std::vector<size_t> todo_;
  std::set<size_t> failed_, told_, skipped_;
};

}  // namespace

RunnerReport run_plan(const Plan& plan, const Shard& shard, bool worker, World& world) {
  return PlanWorker(plan, shard, worker, world).work();
}

int64_t steps_to_do(const Plan& plan, const Shard& shard) {
  int64_t steps = 0;
  for (size_t i = 0; i < plan.runs.size(); ++i)
    if (shard.holds(i) && !is_settled(plan.runs[i])) steps += plan.runs[i].config.train.steps;
  return steps;
}

}  // namespace attnlab
