#include "experiment/rates/rate_selection.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compare/verdict.h"
#include "core/errors.h"
#include "experiment/run/run_state.h"

namespace attnlab {
namespace {

bool has_diverged(const RunRecord& run, Metric metric) {
  return run.state == RunState::failed ? !run.nonfinite.empty() : !std::isfinite(metric_of(run, metric));
}

Metric metric_for(SelectBy by) {
  return by == SelectBy::heldout_loss ? Metric::heldout_loss : Metric::training_loss;
}

}  // namespace

bool is_settled(const PlannedRun& run) {
  if (!std::filesystem::exists(run.file)) return false;
  const RunState state = read_state(run.file);
  if (state != RunState::failed || !run.selects) return state == RunState::complete;
  return !read_run(run.file, false).nonfinite.empty();
}

std::optional<RateChoice> choose_rate(const Plan& plan, const RateSelection& selection) {
  const auto is_open = [&](size_t place) { return !is_settled(plan.runs[place]); };
  if (std::any_of(selection.runs.begin(), selection.runs.end(), is_open)) return std::nullopt;
  const RateRule& rule = selection.rule;
  const Metric metric = metric_for(rule.select_by);
  double lowest = std::numeric_limits<double>::infinity();
  RateChoice choice;
  std::vector<std::string> values;
  auto place = selection.runs.begin();
  for (const double rate : rule.sweep) {
    double mean = 0;
    for (size_t i = 0; i < rule.seeds.size(); ++i, ++place) {
      const RunRecord run = read_run(plan.runs[*place].file, false);
      mean += has_diverged(run, metric) ? std::numeric_limits<double>::infinity()
                                        : metric_of(run, metric) / static_cast<double>(rule.seeds.size());
    }
    values.push_back(std::isfinite(mean) ? fmt::format("{} ({:.4f})", rate, mean)
                                         : fmt::format("{} (diverged)", rate));
    const bool better = mean < lowest || (mean == lowest && std::isfinite(mean) && rate < choice.rate);
    if (better) choice.rate = rate;
    lowest = std::min(lowest, mean);
  }
  choice.note = fmt::format("{} of {} by {} on seeds {}", choice.rate, fmt::join(values, ", "),
                            name_of(rule.select_by), fmt::join(rule.seeds, ", "));
  if (choice.rate == 0)
    throw RunError(
        fmt::format("no learning rate to choose: {}", choice.note.substr(choice.note.find("of ") + 3)));
  return choice;
}

void resolve_rate(PlannedRun& run, const RateChoice& choice) {
  run.config.train.lr = choice.rate;
  run.rate_note = choice.note;
  run.rate_is_open = false;
}

void resolve_rates(Plan& plan) {
  for (size_t i = 0; i < plan.selections.size(); ++i) {
    std::optional<RateChoice> choice;
    try {
      choice = choose_rate(plan, plan.selections[i]);
    } catch (const RunError&) {  // run_plan says it
    }
    for (auto& run : plan.runs)
      if (choice && run.selection == i && run.rate_is_open) resolve_rate(run, *choice);
  }
}

}  // namespace attnlab
