#include "comparison_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "compare/arms.h"
#include "compare/curve_tables.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/scratch_folder.h"
#include "curves.h"
#include "render.h"

namespace attnlab {
namespace {
namespace fs = std::filesystem;

constexpr size_t kMostPlaces = 400;
constexpr const char* kFigureName = "comparison";
constexpr size_t kMostBars = 12;  // more ends than that run into each other

bool is_picture(const fs::path& path) {
  const std::string ending = path.extension().string();
  return ending == ".png" || ending == ".pdf" || ending == ".svg";
}

bool is_folder(const fs::path& path) { return fs::is_directory(path) || path.extension().empty(); }

bool is_drawn(const CurveComparison& comparison, const RunRecord& run) {
  if (std::find(comparison.runs.begin(), comparison.runs.end(), &run) == comparison.runs.end()) return false;
  return std::any_of(comparison.curves.begin(), comparison.curves.end(), [&](const ArmCurves& curves) {
    return curves.sweep_point == run.header.sweep_point &&
           (curves.arm == run.header.arm || curves.arm == arm_label(run.header, true)) &&
           std::find(curves.drawn.begin(), curves.drawn.end(), run.header.seed) != curves.drawn.end();
  });
}

// The drawn runs of the comparison alone, under its arms' labels: with one of several experiments left, a
// RunSet's own would lack the experiment's name.
RunSet run_set_of(const CurveComparison& comparison, const std::vector<RunRecord>& runs) {
  std::vector<RunRecord> shown;
  for (const auto& run : runs)
    if (is_drawn(comparison, run)) shown.push_back(run);
  RunSet set = sort_runs(std::move(shown), true);
  for (const auto& cell : set.cells) {
    const RunHeader& header = cell.runs.front()->header;
    const std::string longer = arm_label(header, true);
    const bool known =
        std::find(comparison.arms.begin(), comparison.arms.end(), longer) != comparison.arms.end();
    set.arms[cell.arm] = known ? longer : header.arm;
  }
  return set;
}

// At the places that all its seeds reach.
SeedCurves sampled(const ArmCurves& arm, const std::vector<double>& places) {
  SeedCurves curves;
  for (const auto& [seed, series] : drawn_part(arm).by_seed)
    for (const double x : places)
      if (x >= arm.first && x <= arm.last) curves[seed][x] = value_at(series, x).value();
  return curves;
}

Spread spread(const Interval& interval) {
  return {.mean = interval.value, .low = interval.low, .high = interval.high};
}

const ArmCurves& curves_of(const std::vector<const ArmCurves*>& arms, const std::string& label) {
  return **std::find_if(arms.begin(), arms.end(), [&](const ArmCurves* arm) { return arm->arm == label; });
}

// Means and differences with their 95 % intervals, in place of the range over seeds.
void take_intervals(std::vector<Curve>& curves, const RunSet& set, const std::vector<const ArmCurves*>& arms) {
  for (Curve& curve : curves) {
    const ArmCurves arm = drawn_part(curves_of(arms, set.arms[curve.arm]));
    const ArmCurves first = drawn_part(curves_of(arms, set.arms[curves.front().arm]));
    for (CurvePoint& point : curve.points) {
      point.value = spread(mean_at(arm, point.x));
      if (point.difference) point.difference = spread(difference_at(arm, first, point.x));
    }
  }
}

// The baseline first: draw_curves takes the differences to the first.
std::vector<const RunCell*> cells_of(const CurveComparison& comparison, const RunSet& set, size_t place) {
  std::vector<const RunCell*> cells = set.cells_at(place);
  std::stable_partition(cells.begin(), cells.end(),
                        [&](const RunCell* cell) { return set.arms[cell->arm] == comparison.baseline; });
  return cells;
}

std::vector<Curve> curves_at(const CurveComparison& comparison, const RunSet& set, size_t place,
                             const std::vector<double>& places) {
  const auto cells = cells_of(comparison, set, place);
  std::vector<SeedCurves> values;
  for (const RunCell* cell : cells) {
    SeedCurves& curves = values.emplace_back();
    for (const ArmCurves* arm : comparison.at_point(set.points[place]))
      if (arm->arm == set.arms[cell->arm]) curves = sampled(*arm, places);
  }
  auto curves = make_curves(cells, values, spread_of);
  if (comparison.metric.kind != CurveMetric::Kind::loss)
    take_intervals(curves, set, comparison.at_point(set.points[place]));
  return curves;
}

struct AxisUnit {
  double size = 1;
  std::string name;  // with the axis' own
};

// Such that numbers on the axis are short.
AxisUnit unit_of(Axis axis, double most) {
  const std::string title = axis_title(axis);
  if (axis == Axis::steps || axis == Axis::seconds) return {.name = title};
  for (const auto& [size, prefix] :
       {std::pair{1e18, "10¹⁸"}, {1e15, "10¹⁵"}, {1e12, "10¹²"}, {1e9, "10⁹"}, {1e6, "10⁶"}, {1e3, "10³"}})
    if (most >= size) return {.size = size, .name = fmt::format("{} ({})", title, prefix)};
  return {.name = title};
}

std::string summary_of(const CurveMetric& metric) {
  if (metric.kind == CurveMetric::Kind::loss) return "line: mean, band: lowest to highest seed";
  return metric.scale == 100 ? "mean, 95 % interval over seeds and problems" : "mean, 95 % interval over seeds";
}

// The metric with its unit, where there is room for both.
std::string y_label_of(const CurveMetric& metric) {
  const std::string unit = metric.unit == "nats per token" ? "nats/token" : metric.unit;
  if (unit == metric.title) return unit;
  const std::string both = fmt::format("{} ({})", metric.title, unit);
  return both.size() <= 30 ? both : unit;
}

std::string short_name(const CurveMetric& metric) {
  if (metric.kind == CurveMetric::Kind::task) return metric.score;
  return metric.kind == CurveMetric::Kind::accuracy ? "accuracy" : "loss";
}

CurveFigure figure_of(const CurveComparison& comparison, size_t most_points, double most_x) {
  const AxisUnit unit = unit_of(comparison.axis, most_x);
  CurveFigure figure{.name = kFigureName,
                     .title = comparison.metric.title,
                     .y_label = y_label_of(comparison.metric),
                     .measure = short_name(comparison.metric),
                     .summary = summary_of(comparison.metric),
                     .ends = most_points <= kMostBars ? Ends::bars : Ends::band,
                     .settled = 0.05,
                     .x_label = unit.name,
                     .x_column = std::string(name_of(comparison.axis)),
                     .x_unit = unit.size};
  if (comparison.window > 1) figure.note = fmt::format("moving mean of {} rows", comparison.window);
  return figure;
}

}  // namespace

void check_figure_path(const std::string& out) {
  if (!is_folder(out) && !is_picture(out))
    throw InputError(BadInput{.file = "--out",
                              .found = "'" + out + "'",
                              .expected = "a folder, or a file that ends in .png, .pdf or .svg"});
  require_gnuplot();
}

std::vector<fs::path> write_figure(const CurveComparison& comparison, const std::vector<RunRecord>& runs,
                                   const std::string& out) {
  const RunSet set = run_set_of(comparison, runs);
  std::vector<std::vector<Curve>> curves;
  size_t most_points = 0;
  double most_x = 0;
  for (size_t place = 0; place < set.points.size(); ++place) {
    const auto places = drawing_places(comparison, set.points[place], kMostPlaces);
    most_points = std::max(most_points, places.size());
    most_x = std::max(most_x, places.back());
    curves.push_back(curves_at(comparison, set, place, places));
  }
  const auto drawings = draw_curves(set, curves, figure_of(comparison, most_points, most_x));
  if (drawings.empty())
    throw InputError(
        BadInput{.file = "--align",
                 .found = "'" + std::string(name_of(comparison.axis)) + "'",
                 .expected = "an axis on which seeds of an arm have places in common, to draw them"});
  std::vector<fs::path> written;
  const ScratchFolder scratch("compare_runs");
  for (const auto& drawing : drawings) {
    const auto files = render(drawing, is_folder(out) ? fs::path(out) : scratch.path);
    if (is_folder(out)) {
      written.insert(written.end(), files.begin(), files.end());
    } else {
      const fs::path ending = fs::path(out).extension();
      const fs::path picture = scratch.path / (drawing.name + ending.string());
      // With a sweep each of its points has a figure, FILE-POINT.png.
      const size_t behind = set.file_prefix.size() + std::string_view(kFigureName).size();
      const std::string point = set.points.size() > 1 ? drawing.name.substr(behind) : "";
      const fs::path named = fs::path(out).replace_extension().string() + point + ending.string();
      write_file_atomic(named, read_file(picture));
      written.push_back(named);
    }
  }
  return written;
}

}  // namespace attnlab
