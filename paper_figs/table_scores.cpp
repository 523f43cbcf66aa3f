// Table 1: what each arm scores, by the size of its cache and by the tokens that it was trained on.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "core/progress.h"
#include "measured.h"
#include "results/archive.h"
#include "results/evaluation_file.h"
#include "stats/intervals.h"
#include "tables.h"

namespace attnlab {
namespace {

using Scores = std::vector<std::pair<std::string, double>>;  // of one run at one step: column → value

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

Scores task_scores_of(const std::filesystem::path& file) {
  const std::vector<ScoreRow> all = read_evaluation(file).scores;
  Scores scores;
  for (const auto& [name, rows] : grouped(all, [](const ScoreRow& r) { return r.task + '\n' + r.protocol; })) {
    const ScoreRow& row = told(rows);
    const bool perplexity = row.metric.ends_with("perplexity") || row.metric == "bits_per_byte";
    std::string column = row.task + (row.protocol.empty() ? "" : ", " + row.protocol) + ", " + row.metric;
    if (!perplexity) column += " %";
    scores.emplace_back(column, perplexity ? row.value : 100 * row.value);
  }
  return scores;
}

Scores scores_of(const RunRecord& run, const EvaluationRow& row) {
  Scores scores;
  if (row.heldout_tokens > 0) scores.emplace_back(perplexity_column, std::exp(row.heldout_loss));
  if (row.problems > 0) scores.emplace_back(answers_column, 100 * row.accuracy);
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
};

Entry entry_of(const RunCell& cell, bool at_start, std::vector<std::string>& columns) {
  Entry entry{.cell = &cell};
  std::vector<double> tokens;
  for (const RunRecord* run : cell.runs) {
    if (run->evaluations.empty()) continue;
    const EvaluationRow& row = at_start ? run->evaluations.front() : run->evaluations.back();
    if ((row.step == 0) != at_start) continue;
    if (!at_start && !run->train.empty()) tokens.push_back(static_cast<double>(run->train.back().tokens));
    for (const auto& [column, value] : scores_of(*run, row)) {
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
      entry.values[column].push_back(value);
    }
  }
  if (!tokens.empty()) entry.tokens = mean_interval(tokens).value;
  return entry;
}

std::string value_cell(const Entry& entry, const std::string& column) {
  const auto found = entry.values.find(column);
  if (found == entry.values.end()) return "-";
  const int digits = is_percent(column) ? 2 : 3;
  const Interval interval = mean_interval(found->second);
  std::string text = fmt::format("{:.{}f}", interval.value, digits);
  if (interval.has_ends()) text += fmt::format(" ± {:.{}f}", interval.half_width(), digits);
  return text;
}

// The mean over the columns of percents, of a task the first; "-" where one is missing.
std::string average_cell(const Entry& entry, const std::vector<std::string>& columns) {
  double sum = 0;
  size_t count = 0;
  std::set<std::string> tasks;
  for (const auto& column : columns) {
    if (!is_percent(column) || !tasks.insert(column.substr(0, column.find(", "))).second) continue;
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
  for (const char* task :
       {"mmlu", "arc_easy", "arc_challenge", "piqa", "hellaswag", "openbookqa", "winogrande"})
    if (std::none_of(columns.begin(), columns.end(),
                     [&](const std::string& column) { return column.starts_with(task); }))
      lacking.emplace_back(task);
  std::vector<std::string> notes{
      "± is half the 95 % interval over seeds (Student's t); one seed has none. Cache: numbers per token "
      "against the "
      "arm gqa. Tokens: trained ones, padding not counted, mean over seeds. Mean: over tasks, each by its "
      "first column."};
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
  const bool average = std::count_if(columns.begin(), columns.end(), is_percent) > 1;
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
    if (average) line.cells.push_back(average_cell(entry, columns));
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
