// Problems that arms disagree on, side by side.
#include <fmt/format.h>

#include <algorithm>

#include "report/disagreements.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr size_t most_samples = 20;

Html mark(bool correct) {
  return element("span", {{"class", correct ? "mark right" : "mark wrong"}},
                 text(correct ? "✓ right" : "✗ wrong"));
}

Html reply(const ArmReply& reply) {
  Html body = element("h4", text(reply.arm + " ") + mark(reply.correct));
  body += preformatted(reply.text);
  if (!reply.extracted.empty() && reply.extracted != reply.text)
    body += element("p", {{"class", "note"}}, text("Answer found: ") + code(reply.extracted));
  return element("div", {{"class", "reply"}}, body);
}

std::string summary_of(const Sample& sample) {
  std::vector<std::string> right, wrong;
  for (const auto& reply : sample.replies) (reply.correct ? right : wrong).push_back(reply.arm);
  const std::string point = sample.sweep_point.empty() ? "" : sample.sweep_point + ", ";
  return fmt::format("{}: problem {}, {}seed {}. Right: {}. Wrong: {}.", sample.source, sample.problem, point,
                     sample.seed, join(right), join(wrong));
}

Html draw(const Sample& sample) {
  Html body;
  if (!sample.prompt.empty()) body += element("h4", text("Prompt")) + preformatted(sample.prompt);
  if (!sample.gold.empty()) body += element("h4", text("Right answer")) + preformatted(sample.gold);
  Html replies;
  for (const auto& one : sample.replies) replies += reply(one);
  return foldable(text(summary_of(sample)), body + element("div", {{"class", "replies"}}, replies));
}

Grid count_grid(const Disagreements& found) {
  Grid grid{.titles = {"arm", "problems", "sweep point", "asked", "only " + found.first + " right",
                       "only the arm right"}};
  for (const auto& row : found.counts)
    grid.lines.push_back({.cells = {row.arm, row.source, row.sweep_point, fmt::format("{}", row.asked),
                                    fmt::format("{}", row.only_first), fmt::format("{}", row.only_arm)}});
  return grid;
}

bool any_differs(const Disagreements& found) {
  return std::any_of(found.counts.begin(), found.counts.end(),
                     [](const DisagreementCount& row) { return row.only_first + row.only_arm > 0; });
}

Html samples_of(const Experiment& experiment) {
  const Disagreements found = find_disagreements(experiment, most_samples);
  Html out = element("h3", text(experiment.name));
  if (found.counts.empty())
    return out +
           paragraph(
               "No problem was asked of two arms with the same seed, so there is nothing to lay side by side.");
  out +=
      table_of(count_grid(found), experiment.name + ": disagreements with " + found.first + ", over all seeds");
  if (found.samples.empty())
    return out +
           paragraph(any_differs(found)
                         ? "What the arms replied to these problems is not in the files: an archive may hold "
                           "how replies were judged without their texts (export_runs --replies)."
                         : "All arms got the same problems right.");
  out +=
      paragraph(fmt::format("{} of them, evenly over arms and over which one is right:", found.samples.size()));
  for (const auto& sample : found.samples) out += draw(sample);
  return out;
}

}  // namespace

Html samples_section(const Experiments& experiments) {
  Html out;
  for (const auto& experiment : experiments) out += samples_of(experiment);
  if (experiments.empty()) out = paragraph("No runs were given, so there are no replies.");
  return section("samples", "Where arms disagree", out);
}

}  // namespace attnlab::report
