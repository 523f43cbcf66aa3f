// Table 5: what the arms write to the same prompts, before training and after it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "results/evaluation_file.h"
#include "tables.h"

namespace attnlab {
namespace {

constexpr size_t problems_shown = 2;
constexpr size_t longest = 400;  // bytes of a text

std::string shortened(std::string text) {
  if (text.size() <= longest) return text;
  size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole characters
  text.resize(end);
  return text + " …";
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \n\t"), last = text.find_last_not_of(" \n\t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

struct Reply {
  std::string arm, when, prompt, text;
  bool correct = false;
};

// Replies by the problem's number, of the runs' own problems and of each task: a source's name → problems.
using Source = std::map<int64_t, std::vector<Reply>>;
using Sources = std::vector<std::pair<std::string, Source>>;

Source& source_of(Sources& sources, const std::string& name) {
  for (auto& [other, source] : sources)
    if (other == name) return source;
  return sources.emplace_back(name, Source{}).second;
}

std::string when_of(int64_t step) { return step == 0 ? "before training" : "trained"; }

void add_answers(Sources& sources, const RunRecord& run, const std::string& arm) {
  if (run.evaluations.empty()) return;
  for (const ProblemRow& row : run.problems)
    if (row.step == 0 || row.step == run.evaluations.back().step)
      source_of(sources, "")[row.index].push_back(
          {arm, when_of(row.step), row.prompt, row.output, row.correct != 0});
}

// Judged by the task's first protocol. Archives leave texts out: an empty one tells nothing.
void add_task(Source& source, const TaskRecord& task, const std::string& arm, int64_t step) {
  std::map<int64_t, bool> correct;
  if (!task.judgements.empty())
    for (const JudgementRow& row : task.judgements.front().second)
      if (row.sample == 0) correct[row.problem] = row.correct != 0;
  for (const ReplyRow& row : task.replies)
    if (row.sample == 0 && !trimmed(row.text).empty())
      source[row.problem].push_back(
          {arm, when_of(step),
           fmt::format("{}, {}", task.label, row.id.empty() ? fmt::format("problem {}", row.problem) : row.id),
           row.text, correct[row.problem]});
}

void add_tasks(Sources& sources, const RunRecord& run, const std::string& arm) {
  for (const auto& [step, file] : tasks_files(run.path)) {
    if (step != 0 && step != run.last_step) continue;
    for (const TaskRecord& task : read_evaluation(file).tasks)
      add_task(source_of(sources, task.label), task, arm, step);
  }
}

Sources replies_at(const RunSet& runs, size_t point) {
  Sources sources;
  for (const RunCell* cell : runs.cells_at(point)) {
    const RunRecord run = read_run(cell->runs.front()->path, true);
    add_answers(sources, run, runs.arms[cell->arm]);
    add_tasks(sources, run, runs.arms[cell->arm]);
  }
  return sources;
}

// Problems to which most replies were kept, the first ones.
void add_lines(Grid& grid, const Source& by_problem) {
  size_t most = 0, shown = 0;
  for (const auto& [index, replies] : by_problem) most = std::max(most, replies.size());
  for (const auto& [index, replies] : by_problem) {
    if (replies.size() < most) continue;
    grid.lines.push_back({.heading = shortened(trimmed(replies.front().prompt))});
    for (const Reply& reply : replies)
      grid.lines.push_back(
          {.cells = {reply.arm, reply.when, reply.correct ? "yes" : "no", shortened(trimmed(reply.text))}});
    if (++shown == problems_shown) return;
  }
}

Grid grid_of(const Sources& sources) {
  Grid grid{.titles = {"arm", "when", "right", "text"}, .columns = Columns::texts};
  for (const auto& [name, source] : sources) add_lines(grid, source);
  return grid;
}

}  // namespace

Figure table_5(const RunSet& runs) {
  Figure figure{.missing = "no evaluation asked problems and kept the replies"};
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const Grid grid = grid_of(replies_at(runs, point));
    if (grid.lines.empty()) continue;
    figure.tables.push_back(
        {.name = file_name("table_5", runs, point),
         .caption = "What the arms write to the same prompts" +
                    (runs.experiment.empty() ? "" : ", " + runs.experiment) +
                    (runs.points[point].empty() ? "" : ", " + runs.points[point]),
         .grid = grid,
         .notes = {
             "The first problems of the last evaluation and of each task, of each arm's first seed, as they "
             "came. A table of "
             "examples measures nothing.",
             "The paper's table 5 shows conversions of LLaMA-2-7B; there is no data here for that model."}});
  }
  return figure;
}

}  // namespace attnlab
