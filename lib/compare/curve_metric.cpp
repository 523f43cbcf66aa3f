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

// What was measured at a step; no answers where the value is no share of them.
struct Measured {
  int64_t step = 0;
  double value = 0;
  Answers answers = {};
};

// The judgements that a task's score is the mean of; those of multiple choice are called as the score is.
Answers answers_behind(const std::vector<TaskRecord>& tasks, const CurveMetric& metric) {
  Answers found;
  if (metric.score.starts_with("pass@") && metric.score != "pass@1") return found;
  for (const auto& task : tasks)
    for (const auto& [protocol, rows] : task.judgements)
      if (task.label == metric.task && protocol == (metric.protocol.empty() ? metric.score : metric.protocol))
        found = answers_of(rows);
  return found;
}

std::vector<Measured> measured_by_step(const RunRecord& run, const CurveMetric& metric) {
  std::vector<Measured> found;
  if (metric.kind == CurveMetric::Kind::task) {
    for (const auto& [step, path] : tasks_files(run.path)) {
      const EvaluationRecord record = read_evaluation(path);
      for (const auto& row : record.scores)
        if (is_this(row, metric)) found.push_back({step, row.value, answers_behind(record.tasks, metric)});
    }
    return found;
  }
  const bool shares = metric.kind == CurveMetric::Kind::accuracy;
  for (const auto& row : run.evaluations)
    found.push_back({row.step, value_of(row, metric.kind), shares ? answers_at(run, row.step) : Answers{}});
  return found;
}

}  // namespace

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

MetricCurve metric_curve(const RunRecord& run, const CurveMetric& metric, Axis axis) {
  MetricCurve curve;
  Series& series = curve.series;
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
    return curve;
  }
  for (auto& [step, value, answers] : measured_by_step(run, metric)) {
    const auto x = axis_value(run, step, axis);
    if (!x) continue;
    add(*x, value);
    if (!answers.empty()) curve.answers[*x] = std::move(answers);
  }
  return curve;
}

}  // namespace attnlab
