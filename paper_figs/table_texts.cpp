// Table 5: what the arms write to the same prompts, before training and after it.
#include <fmt/format.h>

#include <map>

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

// One reply, to be found by the problem's number.
struct Reply {
  std::string arm, when;
  ProblemRow row;
};

std::map<int64_t, std::vector<Reply>> replies_at(const RunSet& runs, size_t point) {
  std::map<int64_t, std::vector<Reply>> by_problem;
  for (const Cell* cell : runs.cells_at(point)) {
    const RunRecord run = read_run(cell->runs.front()->path, true);
    if (run.evaluations.empty()) continue;
    const int64_t last = run.evaluations.back().step;
    for (const auto& row : run.problems)
      if (row.step == 0 || row.step == last)
        by_problem[row.index].push_back(
            {runs.arms[cell->arm], row.step == 0 ? "before training" : "trained", row});
  }
  return by_problem;
}

// Problems to which most replies were kept, the first ones.
Grid grid_of(const std::map<int64_t, std::vector<Reply>>& by_problem) {
  Grid grid{.titles = {"arm", "when", "right", "text"}, .columns = Columns::texts};
  size_t most = 0, shown = 0;
  for (const auto& [index, replies] : by_problem) most = std::max(most, replies.size());
  for (const auto& [index, replies] : by_problem) {
    if (replies.size() < most || shown++ == problems_shown) continue;
    grid.lines.push_back({.heading = shortened(trimmed(replies.front().row.prompt))});
    for (const auto& reply : replies)
      grid.lines.push_back({.cells = {reply.arm, reply.when, reply.row.correct ? "yes" : "no",
                                      shortened(trimmed(reply.row.output))}});
    if (shown == problems_shown) break;
  }
  return grid;
}

}  // namespace

Figure table_5(const RunSet& runs) {
  Figure figure{.missing = "no evaluation asked problems"};
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const auto by_problem = replies_at(runs, point);
    if (by_problem.empty()) continue;
    figure.tables.push_back(
        {.name = file_name("table_5", runs, point),
         .caption = "What the arms write to the same prompts" +
                    (runs.experiment.empty() ? "" : ", " + runs.experiment) +
                    (runs.points[point].empty() ? "" : ", " + runs.points[point]),
         .grid = grid_of(by_problem),
         .notes = {
             "The first problems of the last evaluation, of each arm's first seed, as they came. A table of "
             "examples measures nothing.",
             "The paper's table 5 shows conversions of LLaMA-2-7B; there is no data here for that model."}});
  }
  return figure;
}

}  // namespace attnlab
