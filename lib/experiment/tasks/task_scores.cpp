#include "experiment/tasks/task_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/errors.h"
#include "stats/intervals.h"
#include "stats/pass_at_k.h"
#include "stats/power.h"
#include "tasks/choice_score.h"

namespace attnlab {
namespace {

ScoreRow row_of(const TaskResult& result, const std::string& protocol, const std::string& metric,
                const Interval& interval) {
  return {.task = result.label,
          .protocol = protocol,
          .metric = metric,
          .value = interval.value,
          .low = interval.low,
          .high = interval.high,
          .n = interval.n};
}

std::string metric_name(const TaskData& data, int64_t k) {
  const bool plain = data.kind() == TaskKind::answer && data.config.samples == 1;
  return plain ? "accuracy" : fmt::format("pass@{}", k);
}

Interval pass_interval(const std::vector<int64_t>& correct, int64_t samples, int64_t k) {
  if (samples == 1) {
    int64_t sum = 0;
    for (const int64_t c : correct) sum += c;
    return wilson_interval(sum, std::ssize(correct));
  }
  std::vector<double> values;
  for (const int64_t c : correct) values.push_back(pass_at_k(samples, c, k));
  return bounded_mean_interval(values, share_bounds);
}

void add_replies(const TaskResult& result, std::vector<ScoreRow>& rows) {
  const TaskData& data = result.data;
  for (size_t p = 0; p < data.protocols.size(); ++p) {
    std::vector<int64_t> correct(static_cast<size_t>(data.size()), 0);
    for (size_t i = 0; i < result.replies.size(); ++i)
      correct[result.replies[i].problem] += result.judged[p][i].correct;
    for (const int64_t k : data.config.k)
      rows.push_back(row_of(result, std::string(name_of(data.protocols[p])), metric_name(data, k),
                            pass_interval(correct, data.config.samples, k)));
  }
}

void add_choices(const TaskResult& result, std::vector<ScoreRow>& rows) {
  std::vector<std::vector<double>> sums;
  for (const auto& item : result.choices) sums.push_back(item.log_likelihoods);
  const ChoiceAccuracy accuracy = choice_accuracy(result.data.items, sums);
  const auto add = [&](const char* metric, double share) {
    const auto right = static_cast<int64_t>(std::llround(share * static_cast<double>(accuracy.n)));
    rows.push_back(row_of(result, "", metric, wilson_interval(right, accuracy.n)));
  };
  add("acc", accuracy.acc);
  add("acc_norm", accuracy.acc_norm);
  add("acc_bytes", accuracy.acc_bytes);
}

void add_texts(const TaskResult& result, std::vector<ScoreRow>& rows) {
  std::vector<TextLikelihood> rolling;
  double plain = 0;
  int64_t tokens = 0;
  for (const auto& text : result.texts) {
    rolling.push_back(text.rolling);
    plain += text.plain;
    tokens += text.plain_tokens;
  }
  const auto add = [&](const char* metric, double value) {
    rows.push_back(row_of(result, "", metric, {.value = value, .n = tokens}));
  };
  add("token_perplexity", token_perplexity(plain, tokens));
  add("word_perplexity", word_perplexity(rolling));
  add("byte_perplexity", byte_perplexity(rolling));
  add("bits_per_byte", bits_per_byte(rolling));
}

std::vector<JudgementRow> judgement_rows(const TaskResult& result, size_t protocol,
                                         const std::vector<ReplyRow>& replies) {
  std::vector<JudgementRow> rows;
  for (size_t i = 0; i < replies.size(); ++i) {
    const Score& score = result.judged[protocol][i];
    rows.push_back({.problem = replies[i].problem,
                    .sample = replies[i].sample,
                    .correct = score.correct,
                    .extracted = score.extracted,
                    .result = score.result});
  }
  return rows;
}

// Which choice each way of measuring takes; no reply is behind it.
std::vector<std::pair<std::string, std::vector<JudgementRow>>> choice_judgements(const TaskResult& result) {
  std::vector<std::pair<std::string, std::vector<JudgementRow>>> out{
      {"acc", {}}, {"acc_norm", {}}, {"acc_bytes", {}}};
  for (size_t i = 0; i < result.choices.size(); ++i) {
    const auto& item = result.data.items[i];
    const Choice chosen = choose(result.choices[i].log_likelihoods, item.choices);
    const std::array<int64_t, 3> taken{chosen.by_sum, chosen.by_characters, chosen.by_bytes};
    for (size_t m = 0; m < taken.size(); ++m)
      out[m].second.push_back({.problem = static_cast<int64_t>(i),
                               .correct = taken[m] == item.gold,
                               .extracted = std::to_string(taken[m])});
  }
  return out;
}

std::string percent(double value) { return fmt::format("{:.2f} %", 100 * value); }

std::string shown(const ScoreRow& row) {
  const bool share = !std::isnan(row.low);
  if (!share) return fmt::format("{:.4f}", row.value);
  return fmt::format("{} [{}, {}]", percent(row.value), percent(row.low), percent(row.high));
}

}  // namespace

std::vector<ScoreRow> task_scores(const TaskResult& result) {
  std::vector<ScoreRow> rows;
  switch (result.data.kind()) {
    case TaskKind::answer:
    case TaskKind::code:
      add_replies(result, rows);
      break;
    case TaskKind::choice:
      add_choices(result, rows);
      break;
    case TaskKind::perplexity:
      add_texts(result, rows);
      break;
  }
  return rows;
}

TaskRecord task_record(const TaskResult& result) {
  TaskRecord record{.label = result.label, .config = flatten(result.data.config)};
  record.config.emplace_back("sha256", result.data.sha256);
  int64_t problem = -1, sample = 0;
  for (const auto& reply : result.replies) {
    const auto of = static_cast<int64_t>(reply.problem);
    sample = of == problem ? sample + 1 : 0;
    problem = of;
    record.replies.push_back({problem, sample, result.data.problems[reply.problem].id, reply.text});
  }
  for (size_t p = 0; p < result.judged.size(); ++p)
    record.judgements.emplace_back(name_of(result.data.protocols[p]),
                                   judgement_rows(result, p, record.replies));
  if (!result.choices.empty()) record.judgements = choice_judgements(result);
  for (size_t i = 0; i < result.choices.size(); ++i)
    for (size_t c = 0; c < result.choices[i].log_likelihoods.size(); ++c)
      record.choices.push_back({static_cast<int64_t>(i), static_cast<int64_t>(c),
                                result.choices[i].log_likelihoods[c], result.choices[i].greedy[c],
                                result.data.items[i].gold == static_cast<int64_t>(c)});
  return record;
}

std::vector<Disagreement> disagreements(const TaskRecord& task) {
  std::vector<Disagreement> out;
  if (!task.choices.empty()) return out;
  std::vector<std::vector<uint8_t>> right;
  for (const auto& [protocol, rows] : task.judgements) {
    right.emplace_back();
    for (const auto& row : rows) right.back().push_back(static_cast<uint8_t>(row.correct));
  }
  for (size_t a = 0; a < right.size(); ++a)
    for (size_t b = a + 1; b < right.size(); ++b)
      out.push_back({task.judgements[a].first, task.judgements[b].first, count_discordant(right[a], right[b])});
  return out;
}

namespace {

std::string detectable(int64_t n, double disagreement) {
  const auto difference = minimum_detectable_difference({.n = n, .discordant_rate = disagreement});
  return difference ? percent(*difference) : "none";
}

std::string describe_power(const TaskData& task, int64_t seeds) {
  std::string out = fmt::format(
      "; smallest difference between two models that shows (80 % power at 5 %): {} if they disagree on 10 % of "
      "them, {} "
      "if on 33 %",
      detectable(task.size(), 0.1), detectable(task.size(), 1.0 / 3));
  // Greedy replies of one model are all the same.
  const int64_t samples = task.config.temperature > 0 ? task.config.samples : 1;
  if (seeds * samples == 1) return out;
  std::string replies = seeds > 1 ? fmt::format("{} seeds", seeds) : "";
  if (samples > 1) replies += fmt::format("{}{} samples a problem", seeds > 1 ? " of " : "", samples);
  const int64_t n = task.size() * seeds * samples;
  return out + fmt::format("; with {} at best {} and {}", replies, detectable(n, 0.1), detectable(n, 1.0 / 3));
}

}  // namespace

std::string describe_tasks(const std::vector<TaskData>& tasks, int64_t seeds) {
  std::string out;
  for (const auto& task : tasks) {
    out += fmt::format("{}: {} {}", task.config.label(), task.size(),
                       task.kind() == TaskKind::perplexity ? "documents"
                       : task.kind() == TaskKind::choice   ? "items"
                                                           : "problems");
    for (const auto& protocol : task.protocols)
      out += fmt::format("{}{}", &protocol == &task.protocols[0] ? ", " : " + ", name_of(protocol));
    if (task.kind() != TaskKind::perplexity) out += describe_power(task, seeds);
    out += "\n";
  }
  return out;
}

std::string format_scores(const std::vector<ScoreRow>& scores, const std::vector<TaskRecord>& tasks) {
  size_t task_width = 4, protocol_width = 8, metric_width = 6;
  for (const auto& row : scores) {
    task_width = std::max(task_width, row.task.size());
    protocol_width = std::max(protocol_width, row.protocol.size());
    metric_width = std::max(metric_width, row.metric.size());
  }
  std::string out = fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>7}  value [95 % interval over problems]\n", "task",
                                task_width, "protocol", protocol_width, "metric", metric_width, "n");
  for (const auto& row : scores)
    out += fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>7}  {}\n", row.task, task_width, row.protocol,
                       protocol_width, row.metric, metric_width, row.n, shown(row));
  for (const auto& task : tasks)
    for (const auto& pair : disagreements(task))
      if (pair.replies.total() > 0)
        out += fmt::format(
            "{}: {} and {} disagree on {} of {} replies ({} right under the first only, {} "
            "under the second only)\n",
            task.label, pair.first, pair.second, pair.replies.total(), pair.replies.pairs, pair.replies.only_x,
            pair.replies.only_y);
  return out;
}

}  // namespace attnlab
