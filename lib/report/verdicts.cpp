// Tables of arms by their losses and by their tasks.
#include <algorithm>

#include "compare/planned_verdict.h"
#include "compare/task_verdict.h"
#include "compare/verdict_format.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

Html list_of(const std::vector<std::string>& sentences, const std::string& before) {
  if (sentences.empty()) return {};
  Html items;
  for (const auto& sentence : sentences) items += element("li", text(before + sentence));
  return element("ul", items);
}

Html losses(const Experiment& experiment) {
  const VerdictTable table = compare_arms(experiment.runs);
  Html out;
  if (table.rows.empty()) out += paragraph("No run of this experiment is finished yet.");
  if (!table.rows.empty()) {
    out += table_of(value_grid(table), experiment.name + ": what arms cost and reach");
    out += element("p", {{"class", "note"}}, text(value_note(table)));
  }
  if (const Grid differences = difference_grid(table); !differences.lines.empty()) {
    out += table_of(differences, experiment.name + ": difference to " + table.baseline);
    out += element("p", {{"class", "note"}}, text(difference_note(table)));
  }
  return out + list_of(table.notes, "") + list_of(table.warnings, "Warning: ");
}

Html tasks(const Experiment& experiment) {
  const auto rows = compare_tasks(experiment.runs);
  if (rows.empty()) return {};
  return table_of(task_grid(rows), experiment.name + ": tasks") +
         element("p", {{"class", "note"}}, text(task_verdict_note()));
}

Html planned(const Experiment& experiment) {
  const auto results = judge_planned(experiment.runs);
  if (results.empty()) return {};
  Html notes;
  const std::string note = planned_note(results);
  for (size_t at = 0; at < note.size();) {
    const size_t end = std::min(note.find('\n', at), note.size());
    notes += element("p", {{"class", "note"}}, text(note.substr(at, end - at)));
    at = end + 1;
  }
  return table_of(planned_grid(results), experiment.name + ": planned claims") + notes;
}

}  // namespace

Html verdicts_section(const Experiments& experiments) {
  Html out;
  for (const auto& experiment : experiments)
    out += element("h3", text(experiment.name)) + losses(experiment) + tasks(experiment) + planned(experiment);
  if (experiments.empty()) out = paragraph("No runs were given, so there are no arms to compare.");
  return section("verdicts", "Verdicts", out);
}

}  // namespace attnlab::report
