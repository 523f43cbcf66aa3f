#include "experiment/run/dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/progress.h"
#include "experiment/arms/arm_model.h"
#include "experiment/inputs/provenance.h"
#include "experiment/inputs/teacher.h"
#include "experiment/rates/rate_selection.h"
#include "experiment/run/evaluation.h"
#include "experiment/run/run_state.h"
#include "ranks/device.h"
#include "results/rows.h"
#include "train/rank_share.h"

namespace attnlab {
namespace {

int64_t disk_bytes(const RunConfig& config, std::shared_ptr<const Base> base, const Data& data,
                   int64_t trainable) {
  const Evaluator evaluator(config, std::move(base), data);
  const int64_t row = 7 * 8, rows = config.train.steps / config.train.log_every + 1;
  const int64_t evaluations = 2 + (config.eval.every > 0 ? config.train.steps / config.eval.every : 0);
  const int64_t problem = evaluator.prompt_bytes() + 2 * evaluator.gold_bytes() + evaluator.output_bytes();
  return row * rows + evaluations * evaluator.problem_count() * problem + 3 * 4 * trainable;
}

// Throws InputError for a number that the config says, and that is more than there are.
void require_held_out(const Plan& plan, const char* key, int64_t wanted, int64_t standard, int64_t held_out,
                      const char* what) {
  const bool said = !plan.repeats && (wanted != standard || find_path(plan.root, key));
  if (!said || wanted <= held_out) return;
  throw InputError(BadInput{.key = key,
                            .found = fmt::format("{}", wanted),
                            .expected = fmt::format("at most {}: so many {} are held out (data.heldout_size of "
                                                    "generated data, data.heldout_share of a file)",
                                                    held_out, what)});
}

void require_held_out(const Plan& plan, const EvalConfig& eval, const Data& data) {
  const EvalConfig standard;
  const Dataset& heldout = *data.heldout;
  require_held_out(plan, "eval.heldout_examples", eval.heldout_examples, standard.heldout_examples,
                   heldout.size(), "examples");
  int64_t problems = 0;
  for (int64_t i = 0; i < heldout.size() && problems < eval.problems; ++i)
    problems += !heldout.get(i).gold.empty();
  require_held_out(plan, "eval.problems", eval.problems, standard.problems, problems,
                   "problems with a final answer");
}

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t total = 0;
  for (const auto& parameter : module.parameters()) total += parameter.numel();
  return total;
}

RunCost cost_of(const Plan& plan, const PlannedRun& run, Inputs& inputs) {
  const auto base = inputs.base(run.config.base);
  const auto data = inputs.data(run.config.data);
  require_held_out(plan, run.config.eval, *data);
  check_teacher(plan, run.config, *base);
  const ArmModel model = make_arm_model(run.config, *base, torch::kCPU);
  const int64_t weights = keeps_weights(run.config.train, model.parameters_total)
                              ? weights_bytes(run.config.train, model.parameters_total)
                              : 0;
  int64_t largest = 0, around = model.parameters_total;
  for (const auto& layer : model.decoder->layers()) {
    largest = std::max(largest, count_parameters(*layer));
    around -= count_parameters(*layer);
  }
  return {.run = &run,
          .parameters_total = model.parameters_total,
          .parameters_trainable = model.parameters_trainable,
          .cached_numbers_per_token = model.decoder->cached_numbers_per_token(),
          .largest_layer = largest,
          .around_layers = around,
          .cache_bytes = model.decoder->state_bytes(run.config.eval.cache, run.config.eval.cache.report_context,
                                                    computed_bytes(run.config.train.precision)),
          .flops_per_token = model.decoder->forward_flops_per_token(run.config.train.sequence_length),
          .disk_bytes = disk_bytes(run.config, base, *data, model.parameters_trainable) + weights,
          .weights_bytes = weights};
}

}  // namespace

std::vector<RunCost> count_runs(const Plan& plan) {
  Inputs inputs(plan);
  std::map<std::pair<std::string, int64_t>, RunCost> known;  // seeds cost the same
  std::vector<RunCost> costs;
  for (const auto& run : plan.runs) {
    const auto key = std::make_pair(run.selects ? fmt::format("selection {}", *run.selection) : run.sweep_point,
                                    run.arm_index);
    if (!known.count(key)) known[key] = cost_of(plan, run, inputs);
    costs.push_back(known[key]);
    costs.back().run = &run;
  }
  return costs;
}

std::vector<std::string> parameter_warnings(const std::vector<RunCost>& costs) {
  std::map<std::string, std::pair<const RunCost*, const RunCost*>> extremes;  // fewest, most
  for (const auto& cost : costs) {
    if (cost.run->selects) continue;
    auto [found, is_new] = extremes.try_emplace(cost.run->sweep_point, &cost, &cost);
    auto& [fewest, most] = found->second;
    if (cost.parameters_trainable < fewest->parameters_trainable) fewest = &cost;
    if (cost.parameters_trainable > most->parameters_trainable) most = &cost;
  }
  std::vector<std::string> warnings;
  for (const auto& [point, ends] : extremes) {
    const auto few = static_cast<double>(ends.first->parameters_trainable);
    const auto many = static_cast<double>(ends.second->parameters_trainable);
    if (many <= 1.05 * few) continue;
    warnings.push_back(fmt::format("{}{}trainable parameters differ: {} has {}, {} has {} ({:+.0f} %)", point,
                                   point.empty() ? "" : ": ", ends.first->run->config.arm.name,
                                   format_count(few), ends.second->run->config.arm.name, format_count(many),
                                   100 * (many / few - 1)));
  }
  return warnings;
}

std::string describe_data(const Plan& plan) {
  Inputs inputs(plan);
  std::vector<std::pair<std::string, std::string>> lines;  // of which runs, what is said
  std::vector<FlatFields> seen;
  for (const auto& run : plan.runs) {
    const RunConfig& config = run.config;
    FlatFields key = flatten(config.data);
    for (auto& field : flatten(config.base)) key.push_back(std::move(field));
    key.emplace_back("packing", std::string(name_of(config.train.packing)));
    key.emplace_back("sequence_length", config.train.sequence_length);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    seen.push_back(std::move(key));
    const auto stream = inputs.stream(config);
    const std::string line = describe_training(config, *inputs.data(config.data), *stream);
    const bool said =
        std::any_of(lines.begin(), lines.end(), [&](const auto& told) { return told.second == line; });
    if (!line.empty() && !said)
      lines.emplace_back(run.sweep_point.empty() ? config.arm.name : run.sweep_point, line);
  }
  std::string text;
  for (const auto& [runs, line] : lines) text += (lines.size() > 1 ? runs + ": " : "") + line + "\n";
  for (const auto& note : inputs.take_notes()) text += "note: " + note + "\n";
  return text;
}

namespace {

// What becomes of the trained weights, for the runs that are in a verdict.
std::string describe_weights(const std::vector<RunCost>& costs) {
  size_t reported = 0, kept = 0;
  int64_t bytes = 0;
  for (const auto& cost : costs) {
    reported += !cost.run->selects;
    kept += cost.weights_bytes > 0;
    bytes += cost.weights_bytes;
  }
  if (kept == 0) return "trained weights: thrown away (train.save_model: true keeps them)\n";
  const std::string size = format_count(static_cast<double>(bytes));
  if (kept == reported)
    return fmt::format("trained weights: kept beside each run, seedN.model, {}B in all\n", size);
  return fmt::format(
      "trained weights: of {} of {} runs kept (seedN.model, {}B in all), the others thrown away "
      "(train.save_model: true keeps them)\n",
      kept, reported, size);
}

// What training takes of each rank's memory, and which runs can't fit. `memory`: of the GPU; 0: not known.
std::string describe_memory(const std::vector<RunCost>& costs, int64_t ranks, int64_t memory) {
  int64_t most = 0;
  std::string too_large;
  for (const auto& cost : costs) {
    const int64_t held = held_bytes(cost.run->config.train,
                                    {.all = cost.parameters_total,
                                     .trained = cost.parameters_trainable,
                                     .layer = cost.largest_layer,
                                     .outer = cost.around_layers},
                                    ranks);
    most = std::max(most, held);
    if (memory > 0 && held > memory && cost.run->config.device != DeviceChoice::cpu)
      too_large +=
          fmt::format("does not fit: {} needs {}B of the GPU's {}B{}\n", cost.run->file.string(),
                      format_count(static_cast<double>(held)), format_count(static_cast<double>(memory)),
                      cost.run->config.train.shard == Sharded::parameters
                          ? ""
                          : "; more --ranks with train.shard: parameters need less");
  }
  return fmt::format("memory{}: {}B of parameters, gradients and optimizer; activations beside them\n",
                     ranks > 1 ? fmt::format(" of each of {} ranks", ranks) : "",
                     format_count(static_cast<double>(most))) +
         too_large;
}

}  // namespace

std::string format_costs(const Plan& plan, const std::vector<RunCost>& costs, int64_t ranks) {
  std::string text = fmt::format("{}: {} run{} into {}\n", plan.experiment, plan.runs.size(),
                                 plan.runs.size() == 1 ? "" : "s", plan.results.string());
  const auto name_of_run = [&](const RunCost& cost) {
    return cost.run->file.lexically_relative(plan.results).string();
  };
  size_t width = 4;
  for (const auto& cost : costs) width = std::max(width, name_of_run(cost).size());
  text +=
      fmt::format("{:<{}}  {:>6}  {:>10}  {:>10}  {:>12}  {:>8}  {:>12}  {:>8}  {}\n", "run", width, "steps",
                  "parameters", "trainable", "cached/token", "kept", "FLOPs/token", "disk", "state");
  int64_t disk = 0;
  for (const auto& cost : costs) {
    disk += cost.disk_bytes;
    text += fmt::format("{:<{}}  {:>6}  {:>10}  {:>10}  {:>12}  {:>7}B  {:>12}  {:>7}B  {}\n",
                        name_of_run(cost), width, cost.run->config.train.steps,
                        format_count(static_cast<double>(cost.parameters_total)),
                        format_count(static_cast<double>(cost.parameters_trainable)),
                        cost.cached_numbers_per_token, format_count(cost.cache_bytes),
                        format_count(cost.flops_per_token), format_count(static_cast<double>(cost.disk_bytes)),
                        is_settled(*cost.run)                     ? "complete"
                        : std::filesystem::exists(cost.run->file) ? "begun"
                        : cost.run->rate_is_open                  ? "to do, once its learning rate is chosen"
                                                                  : "to do");
  }
  return text + fmt::format("disk at most: {}B\n", format_count(static_cast<double>(disk))) +
         describe_memory(costs, ranks, gpu_bytes()) + describe_weights(costs);
}

}  // namespace attnlab
