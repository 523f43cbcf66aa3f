#include "compare/measured_spread.h"

#include <algorithm>
#include <cmath>

#include "compare/answers.h"
#include "core/find_field.h"
#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/components.h"

namespace attnlab {
namespace {

struct ArmData {
  std::map<int64_t, double> values;  // losses by seed
  AnswersBySeed answers;
  double sampling = 0;  // sum over problems of the variance of one reply
  int64_t sampled = 0;  // problems with several replies
  int64_t samples = 1;  // to a problem
};

// Σ over problems of p (1 - p) k / (k - 1): what one reply varies by.
void add_sampling(ArmData& data, const std::vector<JudgementRow>& rows) {
  std::map<int64_t, std::pair<double, double>> right;
  for (const auto& row : rows) {
    right[row.problem].first += static_cast<double>(row.correct);
    right[row.problem].second += 1;
  }
  for (const auto& [problem, counts] : right) {
    const auto& [correct, k] = counts;
    if (k < 2) continue;
    data.samples = std::max(data.samples, static_cast<int64_t>(k));
    data.sampling += correct / k * (1 - correct / k) * k / (k - 1);
    ++data.sampled;
  }
}

void add_task(ArmData& data, const RunRecord& run, const MetricName& name) {
  const auto file = tasks_file(run.path, run.last_step);
  if (!result_exists(file)) return;
  for (const auto& task : read_evaluation(file).tasks) {
    if (task.label != name.task) continue;
    for (const auto& [protocol, judgements] : task.judgements) {
      if (!name.protocol.empty() && protocol != name.protocol) continue;
      data.answers[run.header.seed] = answers_of(judgements);
      add_sampling(data, judgements);
      return;
    }
  }
}

ArmData data_of(const std::vector<RunRecord>& runs, const std::string& arm, const MetricName& name) {
  ArmData data;
  for (const auto& run : runs) {
    if (run.header.arm != arm || run.state != RunState::complete || find_field(run.header.config, "purpose"))
      continue;
    if (name.is_loss())
      data.values.emplace(run.header.seed, metric_of(run, *name.metric));
    else if (name.metric)
      data.answers.emplace(run.header.seed, last_answers(run));
    else
      add_task(data, run, name);
  }
  return data;
}

std::optional<MeasuredSpread> of_losses(const ArmData& x, const ArmData& y) {
  std::vector<double> differences;
  for (const auto& [seed, value] : x.values)
    if (const auto other = y.values.find(seed); other != y.values.end())
      differences.push_back(value - other->second);
  const Interval variance = variance_interval(differences);
  if (!(variance.value >= 0)) return std::nullopt;
  return MeasuredSpread{.spread = {.seed = variance.value},
                        .seed_variance = variance,
                        .difference = mean_and_error(differences).mean,
                        .design = {.seeds = std::ssize(differences)}};
}

double sampling_of(const ArmData& data) {
  return data.sampled > 0 ? data.sampling / static_cast<double>(data.sampled) : 0;
}

std::optional<MeasuredSpread> of_answers(const ArmData& x, const ArmData& y) {
  const auto scores = crossed_difference_of(x.answers, y.answers);
  if (!scores || scores->n_seeds < 2 || scores->n_problems < 2) return std::nullopt;
  const VarianceComponents parts = variance_components(*scores);
  const int64_t samples = std::min(x.samples, y.samples);
  const double sampling = sampling_of(x) + sampling_of(y);
  return MeasuredSpread{
      .spread = {.seed = parts.seed.value,
                 .problem = parts.problem.value,
                 .rest = std::max(0.0, parts.rest.value - sampling / static_cast<double>(samples)),
                 .sampling = sampling},
      .seed_variance = parts.seed,
      .difference = mean_and_error(scores->values).mean,
      .design = {.seeds = scores->n_seeds, .problems = scores->n_problems, .samples = samples}};
}

}  // namespace

MetricName parse_metric(const std::string& name) {
  if (name == "training_loss") return {.metric = Metric::training_loss};
  if (name == "heldout_loss") return {.metric = Metric::heldout_loss};
  if (name == "accuracy") return {.metric = Metric::accuracy};
  const size_t slash = std::min(name.find('/'), name.size());
  return {.task = name.substr(0, slash), .protocol = name.substr(std::min(slash + 1, name.size()))};
}

std::optional<MeasuredSpread> measured_spread(const std::vector<RunRecord>& runs, const std::string& arm,
                                              const std::string& against, const MetricName& name) {
  const ArmData x = data_of(runs, arm, name), y = data_of(runs, against, name);
  return name.is_loss() ? of_losses(x, y) : of_answers(x, y);
}

double evaluation_seconds(const RunRecord& run) {
  double seconds = 0;
  for (const auto& row : run.evaluations) seconds += row.seconds;
  for (const auto& [step, path] : tasks_files(run.path))
    for (const auto& task : read_evaluation(path).tasks)
      if (const auto* of_task = find_field<double>(task.config, "seconds")) seconds += *of_task;
  return seconds;
}

std::map<std::string, ArmTime> arm_times(const std::vector<RunRecord>& runs) {
  std::map<std::string, ArmTime> times;
  std::map<std::string, std::array<double, 3>> sums;  // seconds of training, steps, seconds of evaluations
  std::map<std::string, double> counts;
  for (const auto& run : runs) {
    if (run.state != RunState::complete || run.train.empty()) continue;
    auto& sum = sums[run.header.arm];
    sum[0] += run.train.back().seconds;
    sum[1] += static_cast<double>(run.train.back().step);
    sum[2] += evaluation_seconds(run);
    ++counts[run.header.arm];
    if (const auto* device = find_field<std::string>(run.header.provenance, "device_name"))
      times[run.header.arm].device = *device;
  }
  for (const auto& [arm, sum] : sums) {
    times[arm].seconds_per_step = sum[0] / sum[1];
    times[arm].seconds_evaluating = sum[2] / counts[arm];
  }
  return times;
}

}  // namespace attnlab
