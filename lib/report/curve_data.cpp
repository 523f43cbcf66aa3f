#include "report/curve_data.h"

#include <algorithm>
#include <cmath>

#include "compare/series.h"
#include "stats/intervals.h"

namespace attnlab::report {
namespace {

using Steps = std::map<int64_t, double>;  // step → value
using Summary = Interval (*)(const std::vector<double>& over_seeds);

Steps losses_of(const RunRecord& run) {
  Steps losses;
  for (const auto& row : run.train)
    if (std::isfinite(row.loss)) losses[row.step] = row.loss;
  return losses;
}

Steps heldout_of(const RunRecord& run) {
  Steps losses;
  for (const auto& row : run.evaluations)
    if (row.heldout_tokens > 0 && std::isfinite(row.heldout_loss)) losses[row.step] = row.heldout_loss;
  return losses;
}

// Centred moving mean. Rows so near an end that their window would be cut are left out.
Steps smoothed(const Steps& losses, size_t window) {
  const std::vector<std::pair<int64_t, double>> rows(losses.begin(), losses.end());
  const size_t reach = window / 2;
  Steps out;
  for (size_t i = reach; i + reach < rows.size(); ++i) {
    double sum = 0;
    for (size_t j = i - reach; j <= i + reach; ++j) sum += rows[j].second;
    out[rows[i].first] = sum / static_cast<double>(window);
  }
  return out;
}

Interval range_of(const std::vector<double>& values) {
  Interval range = mean_interval(values);
  range.low = range.high = not_known;
  if (values.size() < 2) return range;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  range.low = *low;
  range.high = *high;
  return range;
}

Interval student(const std::vector<double>& values) { return mean_interval(values); }

// Between the rows before and behind `step`; 0 at step 0.
double tokens_at(const RunRecord& run, int64_t step) {
  TrainRow before;
  for (const auto& row : run.train) {
    if (row.step >= step) {
      const double share =
          static_cast<double>(step - before.step) / static_cast<double>(row.step - before.step);
      return static_cast<double>(before.tokens) + share * static_cast<double>(row.tokens - before.tokens);
    }
    before = row;
  }
  return static_cast<double>(before.tokens);
}

std::vector<int64_t> common_steps(const SeedCurves& curves) {
  std::vector<int64_t> steps;
  for (const auto& [step, value] : curves.begin()->second)
    if (std::all_of(curves.begin(), curves.end(),
                    [&](const auto& curve) { return curve.second.contains(step); }))
      steps.push_back(step);
  return steps;
}

void add(Band& band, const Interval& interval) {
  band.mean.push_back(interval.value);
  band.low.push_back(interval.low);
  band.high.push_back(interval.high);
}

std::vector<double> differences_at(int64_t step, const SeedCurves& ours, const SeedCurves& first) {
  std::vector<double> found;
  for (const auto& [seed, curve] : ours) {
    const auto other = first.find(seed);
    if (other == first.end()) continue;
    if (const auto value = other->second.find(step); value != other->second.end())
      found.push_back(curve.at(step) - value->second);
  }
  return found;
}

void fill(CurveLine& line, const ArmRuns& arm, const SeedCurves& ours, const SeedCurves* first,
          Summary summary) {
  const std::vector<int64_t> steps = common_steps(ours);
  for (const size_t place : spread_places(steps.size(), most_points)) {
    const int64_t step = steps[place];
    std::vector<double> values, tokens;
    for (const auto& [seed, curve] : ours) values.push_back(curve.at(step));
    for (const RunRecord* run : arm.runs)
      if (ours.contains(run->header.seed)) tokens.push_back(tokens_at(*run, step));
    line.steps.push_back(step);
    line.tokens.push_back(mean_and_error(tokens).mean);
    add(line.value, summary(values));
    if (!first) continue;
    const auto differences = differences_at(step, ours, *first);
    add(line.difference, differences.empty() ? Interval{} : summary(differences));
  }
  const auto& means = line.difference.mean;
  if (std::all_of(means.begin(), means.end(), [](double mean) { return std::isnan(mean); }))
    line.difference = {};
}

template <class Read>
std::vector<CurveLine> make_lines(const PointRuns& point, Read&& read, Summary summary) {
  std::vector<CurveLine> lines;
  SeedCurves first;
  for (size_t i = 0; i < point.arms.size(); ++i) {
    const ArmRuns& arm = point.arms[i];
    SeedCurves ours;
    for (const RunRecord* run : arm.runs)
      if (Steps series = read(*run); !series.empty()) ours[run->header.seed] = std::move(series);
    if (i == 0) first = ours;
    if (ours.empty()) continue;
    CurveLine line{.arm = arm.arm, .look = arm.look, .seeds = std::ssize(ours)};
    fill(line, arm, ours, i == 0 || first.empty() ? nullptr : &first, summary);
    if (!line.steps.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::vector<size_t> spread_places(size_t size, size_t count) {
  std::vector<size_t> places;
  if (size <= count) {
    for (size_t i = 0; i < size; ++i) places.push_back(i);
    return places;
  }
  if (count == 1) return {0};
  for (size_t i = 0; i < count; ++i) places.push_back(i * (size - 1) / (count - 1));
  return places;
}

size_t smoothing_window(const PointRuns& point) {
  size_t fewest = 0;
  for (const auto& arm : point.arms)
    for (const RunRecord* run : arm.runs)
      if (const size_t rows = losses_of(*run).size(); rows > 0) fewest = fewest ? std::min(fewest, rows) : rows;
  return smoothing_rows(fewest);
}

std::vector<CurveLine> training_curves(const PointRuns& point, size_t window) {
  return make_lines(
      point, [&](const RunRecord& run) { return smoothed(losses_of(run), window); }, range_of);
}

std::vector<CurveLine> heldout_curves(const PointRuns& point) { return make_lines(point, heldout_of, student); }

}  // namespace attnlab::report
