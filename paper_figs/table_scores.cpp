// Table 1: what each arm scores, by the size of its cache and by the tokens that it was trained on.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "compare/answers.h"
#include "core/progress.h"
#include "measured.h"
#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/intervals.h"
#include "tables.h"

namespace attnlab {
namespace {

// One number of a run at one step; of shares the answers that it is the mean of, where they are known.
struct Score {
  std::string column;
  double value = 0;
  Answers answers = {};
};
using Scores = std::vector<Score>;

constexpr const char* perplexity_column = "held-out perplexity";
constexpr const char* answers_column = "answers %";

bool is_percent(const std::string& column) { return column.ends_with("%"); }

// Of several metrics of a task the one that stands in the table: the first of these that it has, or else its
// first.
const ScoreRow& told(const std::vector<ScoreRow>& rows) {
  for (const char* metric : {"accuracy", "pass@1", "acc_norm", "word_perplexity", "token_perplexity"})
    for (const ScoreRow& row : rows)
      if (row.metric == metric) return row;
  return rows.front();
}

// Judgements of multiple choice are called as their score is; pass@k with k > 1 is no share of them.
Answers answers_behind(const EvaluationRecord& record, const ScoreRow& score) {
  if (score.metric.starts_with("pass@") && score.metric != "pass@1") return {};
  for (const TaskRecord& task : record.tasks)
    for (const auto& [protocol, rows] : task.judgements)
      if (task.label == score.task && protocol == (score.protocol.empty() ? score.metric : score.protocol))
        return answers_of(rows);
  return {};
}

Scores task_scores_of(const std::filesystem::path& file) {
  const EvaluationRecord record = read_evaluation(file);
  const std::vector<ScoreRow>& all = record.scores;
  Scores scores;
  for (const auto& [name, rows] : grouped(all, [](const ScoreRow& r) { return r.task + '\n' + r.protocol; })) {
    const ScoreRow& row = told(rows);
    const bool perplexity = row.metric.ends_with("perplexity") || row.metric == "bits_per_byte";
    std::string column = row.task + (row.protocol.empty() ? "" : ", " + row.protocol) + ", " + row.metric;
    if (!perplexity) column += " %";
    scores.push_back({column, perplexity ? row.value : 100 * row.value,
                      perplexity ? Answers{} : answers_behind(record, row)});
  }
  return scores;
}

Scores scores_of(const RunRecord& run, const EvaluationRow& row) {
  Scores scores;
  if (row.heldout_tokens > 0) scores.push_back({perplexity_column, std::exp(row.heldout_loss)});
  if (row.problems > 0) scores.push_back({answers_column, 100 * row.accuracy, answers_at(run, row.step)});
  const auto file = tasks_file(run.path, row.step);
  if (!result_exists(file)) return scores;
  for (auto& score : task_scores_of(file)) scores.push_back(std::move(score));
  return scores;
}

// One line of the table: a cell's runs before training or after it.
struct Entry {
  const RunCell* cell = nullptr;
  double tokens = 0;                                  // mean over seeds
  std::map<std::string, std::vector<double>> values;  // column → over seeds
  std::map<std::string, AnswersBySeed> answers = {};
};

Entry entry_of(const RunCell& cell, bool at_start, std::vector<std::string>& columns) {
  Entry entry{.cell = &cell};
  std::vector<double> tokens;
  for (const RunRecord* run : cell.runs) {
    if (run->evaluations.empty()) continue;
    const EvaluationRow& row = at_start ? run->evaluations.front() : run->evaluations.back();
    if ((row.step == 0) != at_start) continue;
    if (!at_start && !run->train.empty()) tokens.push_back(static_cast<double>(run->train.back().tokens));
    for (auto& [column, value, answers] : scores_of(*run, row)) {
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
      entry.values[column].push_back(value);
      if (!answers.empty()) entry.answers[column][run->header.seed] = std::move(answers);
    }
  }
  if (!tokens.empty()) entry.tokens = mean_interval(tokens).value;
  return entry;
}

std::string value_cell(const Entry& entry, const std::string& column) {
  const auto found = entry.values.find(column);
  if (found == entry.values.end()) return "-";
  const int digits = is_percent(column) ? 2 : 3;
  Interval interval = mean_interval(found->second);
  std::string text = fmt::format("{:.{}f}", interval.value, digits);
  const auto answers = entry.answers.find(column);
  if (answers != entry.answers.end() && answers->second.size() == found->second.size() && interval.n > 1) {
    interval = share_right(answers->second);
    return interval.has_ends() ? text + fmt::format(" [{:.{}f}, {:.{}f}]", 100 * interval.low, digits,
                                                    100 * interval.high, digits)
                               : text;
  }
  if (interval.has_ends()) text += fmt::format(" ± {:.{}f}", interval.half_width(), digits);
  return text;
}

// The tasks of the paper's table 1, whose mean it tells.
constexpr std::array paper_tasks{"mmlu",      "arc_easy",   "arc_challenge", "piqa",
                                 "hellaswag", "openbookqa", "winogrande"};

// The columns of these, of a task the first. Other tasks have no mean: of 85 % on one and 1 % on another it
// would say nothing of either.
std::vector<std::string> averaged(const std::vector<std::string>& columns) {
  std::vector<std::string> chosen;
  std::set<std::string> tasks;
  for (const auto& column : columns) {
    const std::string task = column.substr(0, column.find(", "));
    const bool told = std::find(paper_tasks.begin(), paper_tasks.end(), task) != paper_tasks.end();
    if (told && is_percent(column) && tasks.insert(task).second) chosen.push_back(column);
  }
  return chosen;
}

// The mean over these columns; "-" where one is missing.
std::string average_cell(const Entry& entry, const std::vector<std::string>& columns) {
  double sum = 0;
  size_t count = 0;
  for (const auto& column : columns) {
    const auto found = entry.values.find(column);
    if (found == entry.values.end()) return "-";
    sum += mean_interval(found->second).value;
    ++count;
  }
  return fmt::format("{:.2f}", sum / static_cast<double>(count));
}

// Cached numbers of the arm that keeps the base's attention; 0: no arm does.
int64_t base_cache(const RunSet& runs) {
  for (const auto& run : runs.records)
    if (run.header.variant == "gqa") return run.header.cached_numbers_per_token;
  return 0;
}

std::string cache_cell(int64_t cached, int64_t base) {
  if (base == 0) return "-";
  return fmt::format("{:+.2f}", 100 * (static_cast<double>(cached) / static_cast<double>(base) - 1));
}

std::vector<std::string> notes_of(const std::vector<std::string>& columns) {
  std::vector<std::string> lacking;
  for (const char* task : paper_tasks)
    if (std::none_of(columns.begin(), columns.end(),
                     [&](const std::string& column) { return column.starts_with(task); }))
      lacking.emplace_back(task);
  std::vector<std::string> notes{
      "± is half the 95 % interval over seeds (Student's t), brackets are that of a share over seeds and "
      "problems; "
      "one seed has none. Cache: numbers per token against the arm gqa. Tokens: trained ones, padding not "
      "counted, "
      "mean over seeds."};
  if (averaged(columns).size() > 1)
    notes.push_back("Mean: over the tasks of the paper's table 1, each by its first column.");
  if (!lacking.empty())
    notes.push_back("Columns of the paper's table 1 without data here: " + join(lacking) + ".");
  return notes;
}

}  // namespace

Figure table_1(const RunSet& runs) {
  std::vector<std::string> columns;
  std::vector<Entry> entries;
  for (const auto& cell : runs.cells)
    for (const bool at_start : {true, false})
      if (Entry entry = entry_of(cell, at_start, columns); !entry.values.empty())
        entries.push_back(std::move(entry));
  if (entries.empty()) return {.drawings = {}, .missing = "no run has an evaluation"};
  const std::vector<std::string> mean_of = averaged(columns);
  const bool average = mean_of.size() > 1;
  Grid grid{.titles = {"arm", "seeds", "tokens", "cache", "cache, change %"}};
  grid.titles.insert(grid.titles.end(), columns.begin(), columns.end());
  if (average) grid.titles.emplace_back("mean %");
  std::string heading;
  for (const auto& entry : entries) {
    const RunHeader& header = entry.cell->runs.front()->header;
    const std::string group =
        model_name(header) + (header.sweep_point.empty() ? "" : ", " + header.sweep_point);
    if (group != heading) grid.lines.push_back({.heading = group});
    heading = group;
    Line line{.cells = {runs.arms[entry.cell->arm], fmt::format("{}", entry.values.begin()->second.size()),
                        format_count(entry.tokens), fmt::format("{}", header.cached_numbers_per_token),
                        cache_cell(header.cached_numbers_per_token, base_cache(runs))}};
    for (const auto& column : columns) line.cells.push_back(value_cell(entry, column));
    if (average) line.cells.push_back(average_cell(entry, mean_of));
    grid.lines.push_back(std::move(line));
  }
  return {.drawings = {},
          .missing = "",
          .tables = {{.name = runs.file_prefix + "table_1",
                      .caption = "Scores by arm, cache and tokens trained" +
                                 (runs.experiment.empty() ? "" : ", " + runs.experiment),
                      .grid = std::move(grid),
                      .notes = notes_of(columns)}}};
}

}  // namespace attnlab
