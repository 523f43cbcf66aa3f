#include "compare/curve_metric.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "results/evaluation_file.h"

namespace attnlab {
namespace {

// "gsm8k/lm_eval/accuracy"; tasks with one way of scoring have no protocol.
std::string full_name(const ScoreRow& row) {
  return row.task + (row.protocol.empty() ? "" : "/" + row.protocol) + "/" + row.metric;
}

bool is_called(const ScoreRow& row, const std::string& name) {
  return name == row.task || name == row.task + "/" + row.protocol || name == full_name(row);
}

// Shares are shown in percent; perplexities and bits as they are.
bool is_share(const std::string& score) {
  return score == "accuracy" || score.starts_with("acc") || score.starts_with("pass@");
}

CurveMetric metric_of_task(const ScoreRow& row) {
  const bool share = is_share(row.metric);
  CurveMetric metric{.kind = CurveMetric::Kind::task,
                     .task = row.task,
                     .protocol = row.protocol,
                     .score = row.metric,
                     .title = row.task + ", " + (row.protocol.empty() ? "" : row.protocol + ", ") + row.metric,
                     .unit = share ? "%" : row.metric};
  if (share) metric.scale = 100;
  if (share) metric.digits = 2;
  return metric;
}

void add_name(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

bool is_this(const ScoreRow& row, const CurveMetric& metric) {
  return row.task == metric.task && row.protocol == metric.protocol && row.metric == metric.score;
}

// The value of one row of /evaluations; NaN if it was not measured.
double value_of(const EvaluationRow& row, CurveMetric::Kind kind) {
  if (kind == CurveMetric::Kind::heldout) return row.heldout_tokens > 0 ? row.heldout_loss : std::nan("");
  return row.problems > 0 ? row.accuracy : std::nan("");
}

std::vector<std::pair<int64_t, double>> values_by_step(const RunRecord& run, const CurveMetric& metric) {
  std::vector<std::pair<int64_t, double>> values;
  if (metric.kind == CurveMetric::Kind::task) {
    for (const auto& [step, path] : tasks_files(run.path))
      for (const auto& row : read_evaluation(path).scores)
        if (is_this(row, metric)) values.emplace_back(step, row.value);
  } else {
    for (const auto& row : run.evaluations) values.emplace_back(row.step, value_of(row, metric.kind));
  }
  return values;
}

// The judgements that a task's score is the mean of; those of multiple choice are called as the score is.
std::map<int64_t, Answers> task_answers(const RunRecord& run, const CurveMetric& metric) {
  std::map<int64_t, Answers> by_step;
  if (metric.score.starts_with("pass@") && metric.score != "pass@1") return by_step;
  for (const auto& [step, path] : tasks_files(run.path))
    for (const auto& task : read_evaluation(path).tasks)
      for (const auto& [protocol, rows] : task.judgements)
        if (task.label == metric.task && protocol == (metric.protocol.empty() ? metric.score : metric.protocol))
          by_step[step] = answers_of(rows);
  return by_step;
}

}  // namespace

std::map<double, Answers> metric_answers(const RunRecord& run, const CurveMetric& metric, Axis axis) {
  std::map<int64_t, Answers> by_step;
  if (metric.kind == CurveMetric::Kind::task) by_step = task_answers(run, metric);
  if (metric.kind == CurveMetric::Kind::accuracy)
    for (const auto& row : run.evaluations) by_step[row.step] = answers_at(run, row.step);
  std::map<double, Answers> by_place;
  for (auto& [step, answers] : by_step)
    if (const auto x = axis_value(run, step, axis); x && !answers.empty()) by_place[*x] = std::move(answers);
  return by_place;
}

CurveMetric find_metric(const std::string& name, const std::vector<RunRecord>& runs) {
  if (name == "loss")
    return {.kind = CurveMetric::Kind::loss, .title = "Training loss", .unit = "nats per token"};
  if (name == "heldout")
    return {.kind = CurveMetric::Kind::heldout, .title = "Held-out loss", .unit = "nats per token"};
  if (name == "accuracy")
    return {.kind = CurveMetric::Kind::accuracy, .title = "Accuracy", .unit = "%", .scale = 100, .digits = 2};
  std::vector<std::string> names{"loss", "heldout", "accuracy"}, longer;
  for (const auto& run : runs)
    for (const auto& [step, path] : tasks_files(run.path))
      for (const auto& row : read_evaluation(path).scores) {
        if (is_called(row, name)) return metric_of_task(row);
        add_name(names, row.task);
        add_name(longer, full_name(row));
      }
  const std::string expected = one_of(names, name);
  names.insert(names.end(), longer.begin(), longer.end());
  throw InputError(BadInput{.file = "--metric",
                            .found = "'" + name + "'",
                            .expected = expected,
                            .nearest = nearest_name(name, names)});
}

Series metric_series(const RunRecord& run, const CurveMetric& metric, Axis axis) {
  Series series;
  // Two rows at one place would leave the curve without a value there: the later one counts.
  const auto add = [&](double x, double y) {
    if (!std::isfinite(y) || !std::isfinite(x) || (!series.x.empty() && x < series.x.back())) return;
    if (!series.x.empty() && x == series.x.back()) {
      series.y.back() = metric.scale * y;
    } else {
      series.add(x, metric.scale * y);
    }
  };
  if (metric.kind == CurveMetric::Kind::loss) {
    for (const auto& row : run.train) add(axis_value(run, row, axis), row.loss);
    return series;
  }
  for (const auto& [step, value] : values_by_step(run, metric))
    if (const auto x = axis_value(run, step, axis)) add(*x, value);
  return series;
}

}  // namespace attnlab
