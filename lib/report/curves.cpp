// Charts of training and held-out loss, per experiment and sweep point.
#include <fmt/format.h>

#include "report/charts.h"
#include "report/sections.h"

namespace attnlab::report {
namespace {

std::string first_arm(const PointRuns& point, const std::vector<CurveLine>& lines) {
  for (const auto& line : lines)
    if (!line.difference.mean.empty()) return point.arms.front().arm;
  return "";
}

Html training(const Experiment& experiment, const PointRuns& point) {
  const size_t window = smoothing_window(point);
  auto lines = training_curves(point, window);
  if (lines.empty()) return paragraph("No run of " + title_of(experiment, point) + " has a training loss.");
  std::string note = "Mean over seeds; band: lowest to highest seed";
  if (window > 1) note += fmt::format("; moving mean of {} rows", window);
  note += "; the first 5 % may lie beyond the axis";
  return draw({.title = "Training loss, " + title_of(experiment, point),
               .y_name = "training loss, nats per token",
               .note = note + ".",
               .first = first_arm(point, lines),
               .settled = 0.05,
               .lines = std::move(lines)});
}

Html heldout(const Experiment& experiment, const PointRuns& point) {
  auto lines = heldout_curves(point);
  if (lines.empty()) return paragraph("No run of " + title_of(experiment, point) + " has a held-out loss.");
  return draw(
      {.title = "Held-out loss, " + title_of(experiment, point),
       .y_name = "held-out loss, nats per token",
       .note = "Mean over seeds; band, or bar of a single evaluation: 95 % interval over seeds (Student's t).",
       .first = first_arm(point, lines),
       .lines = std::move(lines)});
}

}  // namespace

Html curves_section(const Experiments& experiments) {
  Html out;
  for (const auto& experiment : experiments) {
    out += element("h3", text(experiment.name));
    if (experiment.unfinished)
      out += paragraph("No run of this experiment is finished: the curves end where the runs stand.");
    for (const auto& point : experiment.points) out += training(experiment, point) + heldout(experiment, point);
  }
  if (experiments.empty())
    out = paragraph("No runs were given, so there are no curves.");
  else
    out = element("p", {{"class", "note script-only"}},
                  text("Point at a chart, or focus it and use the arrow keys, to read values. Drag to zoom; "
                       "double click, "
                       "the key 0 or \"reset\" go back. The names of arms hide and show them.")) +
          out;
  return section("curves", "Curves", out);
}

}  // namespace attnlab::report
