#include "experiment/run/claims_dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/claim_plan.h"
#include "core/add_once.h"
#include "core/files.h"
#include "core/progress.h"
#include "experiment/arms/arm_model.h"
#include "experiment/inputs/inputs.h"
#include "experiment/run/run_state.h"
#include "experiment/tasks/run_tasks.h"

namespace attnlab {
namespace {

const PlannedRun* first_run(const Plan& plan, const std::string& arm, const std::string& sweep_point) {
  for (const auto& run : plan.runs)
    if (!run.selects && run.config.arm.name == arm && run.sweep_point == sweep_point) return &run;
  return nullptr;
}

const RunCost* cost_of_arm(const std::vector<RunCost>& costs, const std::string& arm) {
  for (const auto& cost : costs)
    if (!cost.run->selects && cost.run->config.arm.name == arm) return &cost;
  return nullptr;
}

bool is_base_form(const RunConfig& config) { return config.arm.variant == "gqa" && config.arm.layers.empty(); }

CrossedDesign design_for(const Plan& plan, const PlannedRun& run, const MetricName& name, int64_t seeds) {
  CrossedDesign design{.seeds = seeds};
  if (name.is_loss()) return design;
  if (name.metric) {
    design.problems = run.config.eval.problems;
    return design;
  }
  for (const auto& task : resolved_tasks(plan, run.config.eval)) {
    if (task.label() != name.task) continue;
    design.problems = load_task(task, "eval.tasks." + task.label()).size();
    design.samples = task.samples;
  }
  return design;
}

std::vector<CompiledClaim> compile_all(const Plan& plan, const std::vector<RunRecord>& earlier) {
  std::vector<CompiledClaim> compiled;
  const SealedClaims& sealed = *plan.claims;
  for (const auto& point : sealed.sweep_points)
    for (const auto& claim : sealed.claims.list) {
      const PlannedRun* run = first_run(plan, claim.arm, point);
      const auto design = design_for(plan, *run, parse_metric(claim.metric), std::ssize(sealed.seeds));
      compiled.push_back(compile_claim(sealed, claim, design, earlier));
      compiled.back().sweep_point = point;
    }
  return compiled;
}

// Seconds of a run by the earlier ones of its arm, or, of an arm that is new, by the slowest of the others.
double seconds_of(const PlannedRun& run, const std::map<std::string, ArmTime>& times) {
  ArmTime time;
  if (const auto found = times.find(run.config.arm.name); found != times.end()) {
    time = found->second;
  } else {
    for (const auto& [arm, other] : times)
      if (other.seconds_per_step > time.seconds_per_step) time = other;
  }
  return static_cast<double>(run.config.train.steps) * time.seconds_per_step +
         (run.selects ? 0 : time.seconds_evaluating);
}

std::string time_text(const Plan& plan, const std::vector<RunRecord>& earlier,
                      const std::vector<CompiledClaim>& claims) {
  const auto times = arm_times(earlier);
  if (times.empty()) return "device time: not known without claims.earlier\n";
  double reported = 0, choosing = 0;
  std::vector<std::string> devices;
  for (const auto& [arm, time] : times) add_once(devices, time.device);
  for (const auto& run : plan.runs) (run.selects ? choosing : reported) += seconds_of(run, times);
  std::string text =
      fmt::format("device time: {} for {} runs", format_duration(reported + choosing), plan.runs.size());
  int64_t seeds = 0;
  for (const auto& claim : claims)
    if (const auto needed = needs_of(claim.design).seeds) seeds = std::max(seeds, *needed);
  const auto planned = std::ssize(plan.claims->seeds);
  if (seeds > planned)
    text += fmt::format(
        ", {} with the {} seeds that all claims need which seeds can show",
        format_duration(choosing + reported * static_cast<double>(seeds) / static_cast<double>(planned)),
        seeds);
  return text + fmt::format(" (training, evaluations, tasks; as the runs of {} took on {})\n",
                            plan.claims->claims.earlier, join(devices));
}

// More parameters of the base for its own form to train, until it trains as many numbers as wanted within 5 %:
// attention first, then MLPs; "" if none do.
std::string matching_scope(const Plan& plan, const RunCost& base, int64_t wanted) {
  Inputs inputs(plan);
  const ArmModel model = make_arm_model(base.run->config, *inputs.base(base.run->config.base), torch::kCPU);
  std::string names;
  int64_t numbers = base.parameters_trainable;
  for (const char* kind : {"q_proj.weight", "o_proj.weight", "down_proj.weight", "norm.weight"})
    for (const auto& parameter : model.decoder->named_parameters()) {
      if (static_cast<double>(wanted) <= 1.05 * static_cast<double>(numbers)) return names;
      const int64_t more = parameter.value().numel();
      const bool fits = static_cast<double>(numbers + more) <= 1.05 * static_cast<double>(wanted);
      if (parameter.value().requires_grad() || !parameter.key().ends_with(kind) || !fits) continue;
      numbers += more;
      names += ", \"" + parameter.key() + "\"";
    }
  return static_cast<double>(wanted) <= 1.05 * static_cast<double>(numbers) ? names : "";
}

bool near(int64_t a, int64_t b) {
  return static_cast<double>(std::max(a, b)) <= 1.05 * static_cast<double>(std::min(a, b));
}

void look_for_equal_parameters(const Plan& plan, const std::vector<RunCost>& costs,
                               std::vector<MissingControl>& missing) {
  std::vector<std::string> seen;
  for (const auto& claim : plan.claims->claims.list) {
    const RunCost &ours = *cost_of_arm(costs, claim.arm), &theirs = *cost_of_arm(costs, claim.against);
    const bool has_control = std::any_of(costs.begin(), costs.end(), [&](const RunCost& cost) {
      return !cost.run->selects && is_base_form(cost.run->config) &&
             near(cost.parameters_trainable, ours.parameters_trainable);
    });
    const std::string pair = claim.arm + " " + claim.against;
    if (near(ours.parameters_trainable, theirs.parameters_trainable) || has_control ||
        std::find(seen.begin(), seen.end(), pair) != seen.end())
      continue;
    seen.push_back(pair);
    missing.push_back(
        {.control = Control::equal_parameters,
         .why = fmt::format("{} trains {} numbers, {} {}", claim.arm,
                            format_count(static_cast<double>(ours.parameters_trainable)), claim.against,
                            format_count(static_cast<double>(theirs.parameters_trainable))),
         .how = fmt::format("an arm of the base's form whose `trainable` names as many as {}", claim.arm)});
  }
}

}  // namespace

std::vector<MissingControl> missing_controls(const Plan& plan, const std::vector<RunCost>& costs) {
  std::vector<MissingControl> missing;
  bool base_form = false, before = false, rates = true;
  for (const auto& run : plan.runs) {
    if (run.selects) continue;
    base_form |= is_base_form(run.config);
    before |= is_base_form(run.config) && run.config.eval.before;
    rates &= run.selection.has_value();
  }
  if (!base_form)
    missing.push_back(
        {Control::same_training, "no arm is the base in its own form", "claims.add: [same_training]"});
  if (!before)
    missing.push_back({Control::untrained_base, "the base is not evaluated before its training",
                       "claims.add: [untrained_base], or eval.before: true"});
  look_for_equal_parameters(plan, costs, missing);
  if (!rates)
    missing.push_back({Control::chosen_rate, "arms take a learning rate that was not chosen for each",
                       "claims.add: [chosen_rate], or train.lr: {sweep, seeds}"});
  if (plan.claims && plan.claims->sweep_points.size() > 1)
    missing.push_back(
        {Control::fresh_seeds, "the best of the sweep's points is chosen on the seeds that report it",
         "the best point again with other seeds: --set 'sweep={}' --set KEY=VALUE --set 'seeds=[…]' "
         "--out DIR"});
  return missing;
}

std::string describe_claims(const Plan& plan, const std::vector<RunCost>& costs) {
  if (!plan.claims) return "";
  std::vector<RunRecord> earlier;
  if (const std::string& path = plan.claims->claims.earlier; !path.empty())
    earlier = read_runs(resolve_path(plan, path));
  const auto compiled = compile_all(plan, earlier);
  std::string text = "claims:\n" + format_compiled(compiled) + time_text(plan, earlier, compiled);
  for (const auto& control : missing_controls(plan, costs)) {
    text += fmt::format("missing control {}: {}; {}\n", name_of(control.control), control.why, control.how);
    if (control.control != Control::equal_parameters) continue;
    const RunCost* base = nullptr;
    for (const auto& cost : costs)
      if (!base && !cost.run->selects && is_base_form(cost.run->config)) base = &cost;
    if (!base) continue;
    const std::string arm = control.how.substr(control.how.rfind(' ') + 1);
    const std::string scope = matching_scope(plan, *base, cost_of_arm(costs, arm)->parameters_trainable);
    if (!scope.empty())
      text += fmt::format("  - {{name: {}_matched, variant: gqa, trainable: [{}{}]}}\n",
                          base->run->config.arm.name, join(base->run->config.train.trainable), scope);
  }
  const size_t carrying = static_cast<size_t>(std::count_if(
      plan.runs.begin(), plan.runs.end(), [](const auto& run) { return std::filesystem::exists(run.file); }));
  return text + fmt::format("plan {}: goes into every run file; {}\n",
                            sha256(seal_text(*plan.claims)).substr(0, 12),
                            carrying == 0 ? "no run has begun"
                                          : fmt::format("{} runs have begun before this call", carrying));
}

}  // namespace attnlab
