// The paper's theorem, numerically: how well each form fits a random teacher of another form.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "measured.h"
#include "panels.h"
#include "style.h"

namespace attnlab {
namespace {

constexpr double least_shown = 1e-16;  // an exact fit has no logarithm; this is doubles' rounding
constexpr double step_zero = 0.6;      // where a logarithmic axis shows step 0

struct Student {
  std::string form, start;
  int64_t cached = 0;
  std::string name() const { return fmt::format("{}, {} start, {} numbers a token", form, start, cached); }
};

struct Error {
  double mean = 0, low = 0, high = 0;
  size_t seeds = 0;
};

// Step → error: geometric mean and range over seeds, at the steps that most seeds have.
std::map<int64_t, Error> curve_of(const std::vector<FitRow>& rows) {
  std::map<int64_t, std::map<int64_t, double>> by_step;
  for (const auto& row : rows)
    if (std::isfinite(row.error)) by_step[row.step].emplace(row.seed, row.error);
  size_t most = 0;
  for (const auto& [step, seeds] : by_step) most = std::max(most, seeds.size());
  std::map<int64_t, Error> curve;
  for (const auto& [step, seeds] : by_step) {
    if (seeds.size() < most) continue;
    Error error{.low = INFINITY, .high = 0, .seeds = most};
    double logs = 0;
    for (const auto& [seed, value] : seeds) {
      logs += std::log(std::max(value, least_shown));
      error.low = std::min(error.low, value);
      error.high = std::max(error.high, value);
    }
    error.mean = std::exp(logs / static_cast<double>(most));
    curve[step] = error;
  }
  return curve;
}

std::string student_name(const FitRow& row) { return Student{row.student, row.start, row.cached}.name(); }

double shown_step(int64_t step) { return step == 0 ? step_zero : static_cast<double>(step); }

std::vector<std::pair<std::string, double>> step_tics(double last) {
  std::vector<std::pair<std::string, double>> tics{{"0", step_zero}};
  for (double step = 1; step <= last; step *= 10) tics.emplace_back(fmt::format("{}", step), step);
  return tics;
}

size_t place_in_names(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

// A form that was not trained is one point, which says so.
std::string note_beside(const PanelSeries& series, size_t place) {
  const SeriesPoint& point = series.points.front();
  return fmt::format("set label {} 'without training: {:.1e}' at {},{} left offset 1,0.5 font '{},5'\n",
                     10 + place, point.y, point.x, point.y, style::font);
}

Panel panel_of(const std::string& teacher, const std::vector<FitRow>& rows, std::vector<std::string>& names) {
  Panel panel{
      .title = "teacher: " + teacher, .x = empty_axis("", true), .y = empty_axis("relative error", true)};
  for (const auto& [name, of_student] : grouped(rows, student_name)) {
    PanelSeries series{.name = name, .look = place_in_names(names, name)};
    const auto curve = curve_of(of_student);
    for (const auto& [step, error] : curve) {
      SeriesPoint point{.x = shown_step(step), .y = error.mean};
      if (error.seeds > 1)
        point.low = std::max(error.low, least_shown), point.high = std::max(error.high, least_shown);
      series.points.push_back(point);
      for (const double value : {point.y, point.low, point.high}) widen(panel.y, value);
      widen(panel.x, point.x);
    }
    if (series.points.size() == 1) {
      series.marks = true;
      panel.before += note_beside(series, panel.series.size());
    }
    panel.series.push_back(std::move(series));
  }
  return panel;
}

std::string csv_of(const std::vector<FitRow>& rows) {
  std::string csv = "teacher,student,start,cached,parameters,seeds,step,error,low,high\n";
  for (const auto& [key, of_student] :
       grouped(rows, [](const FitRow& row) { return row.teacher + " " + student_name(row); })) {
    const FitRow& first = of_student.front();
    for (const auto& [step, error] : curve_of(of_student))
      csv += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", first.teacher, first.student, first.start,
                         first.cached, first.parameters, error.seeds, step, error.mean, error.low, error.high);
  }
  return csv;
}

size_t seeds_of(const std::vector<FitRow>& rows) {
  size_t seeds = 0;
  for (const auto& group : grouped(rows, [](const FitRow& row) { return row.teacher + student_name(row); }))
    for (const auto& [step, error] : curve_of(group.second)) seeds = std::max(seeds, error.seeds);
  return seeds;
}

}  // namespace

Figure expressiveness(const Measurements& measured) {
  if (measured.fits.empty()) return {.drawings = {}, .missing = "no form was fitted to a teacher"};
  std::vector<std::string> names;
  std::vector<Panel> panels;
  for (const auto& [teacher, rows] : grouped(measured.fits, [](const FitRow& row) { return row.teacher; }))
    panels.push_back(panel_of(teacher, rows, names));
  PanelAxis x = empty_axis("", true);
  for (const auto& panel : panels)
    for (const double value : {panel.x.low, panel.x.high}) widen(x, value);
  x.tics = step_tics(x.high);
  x.low = std::min(x.low, step_zero) / 1.15;
  for (auto& panel : panels) panel.x = x;
  panels.back().x.name = "step";
  const size_t seeds = seeds_of(measured.fits);
  Drawing drawing = draw_panels(
      "expressiveness", "Fitting a random teacher",
      fmt::format("n = {} seed{}{}; error: mean square over that of the teacher", seeds, seeds == 1 ? "" : "s",
                  seeds > 1 ? "; line: geometric mean, band: lowest to highest seed" : ""),
      panels);
  drawing.csv = csv_of(measured.fits);
  return {.drawings = {std::move(drawing)}, .missing = ""};
}

}  // namespace attnlab
