#include "experiment/rates/rate_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/files.h"
#include "core/interrupt.h"
#include "experiment/arms/arm_model.h"
#include "experiment/inputs/provenance.h"
#include "experiment/inputs/teacher.h"
#include "experiment/run/reporter.h"
#include "train/trainer.h"

namespace attnlab {
namespace {

RateRange test_range(const Plan& plan, const PlannedRun& run, Inputs& inputs, Reporter& reporter,
                     size_t place) {
  RunConfig config = run.config;
  config.train.steps = range_steps;
  const auto device = find_device(config.device);
  const auto base = inputs.base(config.base);
  const auto data = inputs.data(config.data);
  const ArmModel model = convert_arm_model(config, *base, *data, device, plan.results,
                                           [&](const std::string& text) { reporter.note(text); });
  model.decoder->to(weight_type(config.train.precision));
  const auto stream = inputs.stream(config);
  Trainer trainer(*model.decoder, config.train, Teachers(plan).get(config, base, device).decoder);
  RateRange range;
  reporter.begin(place, run, 0);
  for (int64_t step = 1; step <= range_steps && !has_blown_up(range.smoothed); ++step) {
    if (interrupted()) throw Interrupted{};
    const double loss = trainer.step(step, stream->batches(step - 1), range_rate(step)).loss.item<double>();
    range.rates.push_back(range_rate(step));
    range.losses.push_back(loss);
    range = read_range(range.rates, range.losses);
    reporter.step(step, loss, 0);
  }
  return range;
}

std::string as_csv(const RateRange& range) {
  std::string text = "step,learning_rate,loss,smoothed_loss\n";
  for (size_t i = 0; i < range.rates.size(); ++i)
    text += fmt::format("{},{},{},{}\n", i + 1, range.rates[i], range.losses[i], range.smoothed[i]);
  return text;
}

}  // namespace

double range_rate(int64_t step) {
  const double share = static_cast<double>(step - 1) / static_cast<double>(range_steps - 1);
  return range_lowest * std::pow(range_highest / range_lowest, share);
}

bool has_blown_up(const std::vector<double>& smoothed) {
  if (smoothed.empty()) return false;
  const double lowest = *std::min_element(smoothed.begin(), smoothed.end());
  return !(smoothed.back() <= 2 * lowest);
}

RateRange read_range(const std::vector<double>& rates, const std::vector<double>& losses) {
  RateRange range{.rates = rates, .losses = losses};
  double sum = 0, weight = 0;
  for (const double loss : losses) {
    sum = 0.9 * sum + loss;
    weight = 0.9 * weight + 1;
    range.smoothed.push_back(sum / weight);
  }
  const auto lowest = std::min_element(range.smoothed.begin(), range.smoothed.end(), [](double a, double b) {
    return a < b || (std::isfinite(a) && !std::isfinite(b));
  });
  range.lowest_at = rates[static_cast<size_t>(lowest - range.smoothed.begin())];
  range.suggestion = range.lowest_at / 10;
  return range;
}

std::string test_rate_ranges(const Plan& plan) {
  Inputs inputs(plan, token_folder());
  Reporter reporter(plan.runs.size(), 0);
  std::set<std::pair<int64_t, std::string>> done;
  std::string table =
      fmt::format("{:<32}  {:>12}  {:>14}  {:>10}\n", "arm", "lowest loss", "at the rate", "suggestion");
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    const PlannedRun& run = plan.runs[i];
    if (run.selects || !done.insert({run.arm_index, run.sweep_point}).second) continue;
    const RateRange range = test_range(plan, run, inputs, reporter, i);
    write_file_atomic(run.file.parent_path() / "lr_range.csv", as_csv(range));
    const std::string name = run.config.arm.name + (run.sweep_point.empty() ? "" : " @ " + run.sweep_point);
    table += fmt::format("{:<32}  {:>12.4f}  {:>14.2e}  {:>10.1e}\n", name,
                         *std::min_element(range.smoothed.begin(), range.smoothed.end()), range.lowest_at,
                         range.suggestion);
  }
  return table +
         "The suggestion, a tenth of the rate at which the smoothed loss is lowest, is where to centre\n"
         "train.lr.sweep; it is no substitute for one. The curves: lr_range.csv in each arm's folder.\n";
}

}  // namespace attnlab
