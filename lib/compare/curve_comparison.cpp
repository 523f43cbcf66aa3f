#include "compare/curve_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compare/arms.h"
#include "compare/run_differences.h"
#include "core/errors.h"

namespace attnlab {
namespace {

struct Candidate {
  const RunRecord* run;
  MetricCurve curve;
};

class Collection {
 public:
  Collection(const std::vector<RunRecord>& runs, const std::string& metric, const CurveOptions& options) {
    if (runs.empty())
      throw InputError(BadInput{.found = "no run", .expected = "the results of at least one run"});
    out_.metric = find_metric(metric, runs);
    out_.axis = options.axis;
    const std::vector<ArmName> arms = arms_of(runs);
    out_.baseline = find_baseline(arms, options.baseline);
    for (const auto& arm : arms) out_.arms.push_back(arm.label);
    for (const auto& run : runs) choose(run, options.failed);
    if (candidates_.empty())
      throw InputError(BadInput{
          .file = "--metric", .found = "no run with a value of '" + metric + "'", .expected = "at least one"});
    out_.window = window(options.smooth);
    several_ = several_experiments(runs);
    for (auto& candidate : candidates_) add(candidate);
    if (out_.curves.empty())
      throw InputError(BadInput{.file = "--smooth",
                                .found = fmt::format("{}", out_.window),
                                .expected = "at most the rows that a run has"});
    sort_curves();
    for (auto& curves : out_.curves) set_drawn(curves);
    note_undrawn();
    note_no_common_place();
    for (const RunRecord* run : out_.runs) warn_unequal_inputs(*run);
  }
  CurveComparison take() { return std::move(out_); }

 private:
  void choose(const RunRecord& run, bool failed) {
    std::error_code ignored;
    if (!seen_.insert(std::filesystem::weakly_canonical(run.path, ignored)).second) return;
    const std::string unfinished = unfinished_note(run);
    const bool left_out = run.state == RunState::failed && !failed;
    if (!unfinished.empty())
      out_.notes.push_back(
          fmt::format("{}{}: {}", run.path.string(), left_out ? " is left out" : "", unfinished));
    if (left_out) return;
    MetricCurve curve = metric_curve(run, out_.metric, out_.axis);
    if (!curve.series.x.empty()) candidates_.push_back({&run, std::move(curve)});
  }

  // Chosen by the shortest complete run, so that all curves compare; by the shortest of all if none is.
  size_t window(int64_t smooth) const {
    if (smooth > 0) return static_cast<size_t>(smooth);
    if (out_.metric.kind != CurveMetric::Kind::loss) return 1;
    size_t fewest = 0, fewest_complete = 0;
    const auto lower = [](size_t& least, size_t rows) { least = least == 0 ? rows : std::min(least, rows); };
    for (const auto& [run, curve] : candidates_) {
      lower(fewest, curve.series.x.size());
      if (run->state == RunState::complete) lower(fewest_complete, curve.series.x.size());
    }
    return smoothing_rows(fewest_complete > 0 ? fewest_complete : fewest);
  }

  void add(Candidate& candidate) {
    const RunRecord& run = *candidate.run;
    Series series = moving_mean(candidate.curve.series, out_.window);
    if (series.x.empty()) {
      out_.notes.push_back(
          fmt::format("{} is left out: it has fewer than {} rows", run.path.string(), out_.window));
      return;
    }
    const std::string arm = arm_label(run.header, several_), &point = run.header.sweep_point;
    if (std::find(out_.points.begin(), out_.points.end(), point) == out_.points.end())
      out_.points.push_back(point);
    auto place = std::find_if(out_.curves.begin(), out_.curves.end(), [&](const ArmCurves& curves) {
      return curves.arm == arm && curves.sweep_point == point;
    });
    if (place == out_.curves.end())
      place = out_.curves.insert(out_.curves.end(), {.arm = arm, .sweep_point = point});
    place->scale = out_.metric.scale;
    if (!place->by_seed.emplace(run.header.seed, std::move(series)).second) {
      out_.notes.push_back(fmt::format("{} is left out: another run has its arm and seed", run.path.string()));
      return;
    }
    out_.runs.push_back(&run);
    if (!candidate.curve.answers.empty()) place->answers[run.header.seed] = std::move(candidate.curve.answers);
    if (run.state == RunState::complete) complete_.insert({arm, point, run.header.seed});
  }

  template <class T>
  static size_t place_in(const std::vector<T>& list, const T& value) {
    return static_cast<size_t>(std::find(list.begin(), list.end(), value) - list.begin());
  }

  void sort_curves() {
    const auto order = [&](const ArmCurves& curves) {
      return std::pair(place_in(out_.points, curves.sweep_point), place_in(out_.arms, curves.arm));
    };
    std::stable_sort(out_.curves.begin(), out_.curves.end(),
                     [&](const ArmCurves& a, const ArmCurves& b) { return order(a) < order(b); });
  }

  // first > last if the seeds have no place in common.
  void set_drawn(ArmCurves& curves) const {
    const auto is_complete = [&](int64_t seed) {
      return complete_.count({curves.arm, curves.sweep_point, seed}) > 0;
    };
    for (const auto& [seed, series] : curves.by_seed)
      if (is_complete(seed)) curves.drawn.push_back(seed);
    if (curves.drawn.empty())
      for (const auto& [seed, series] : curves.by_seed) curves.drawn.push_back(seed);
    curves.first = -INFINITY;
    curves.last = INFINITY;
    for (const int64_t seed : curves.drawn) {
      curves.first = std::max(curves.first, curves.by_seed.at(seed).x.front());
      curves.last = std::min(curves.last, curves.by_seed.at(seed).x.back());
    }
  }

  void note_undrawn() {
    for (const RunRecord* run : out_.runs)
      for (const auto& curves : out_.curves)
        if (curves.arm == arm_label(run->header, several_) && curves.sweep_point == run->header.sweep_point &&
            std::find(curves.drawn.begin(), curves.drawn.end(), run->header.seed) == curves.drawn.end())
          out_.notes.push_back(
              fmt::format("{}: in the tables, not in the drawing, until it is complete", run->path.string()));
  }

  // Where no two arms have a value at one place, the axis compares nothing.
  void note_no_common_place() {
    double first = -INFINITY, last = INFINITY;
    for (const auto& curves : out_.curves) {
      first = std::max(first, curves.first);
      last = std::min(last, curves.last);
    }
    if (out_.axis != Axis::steps && first > last)
      out_.notes.push_back(fmt::format(
          "no place on this axis has values of all arms ({}); --align steps compares at equal steps",
          axis_title(out_.axis)));
  }

  // Against the baseline's run of the same seed, else its first.
  void warn_unequal_inputs(const RunRecord& run) {
    const std::string arm = arm_label(run.header, several_);
    const RunRecord* baseline = nullptr;
    for (const RunRecord* other : out_.runs) {
      if (arm_label(other->header, several_) != out_.baseline ||
          other->header.sweep_point != run.header.sweep_point)
        continue;
      if (!baseline || other->header.seed == run.header.seed) baseline = other;
    }
    if (!baseline || arm == out_.baseline) return;
    for (const auto& sentence : input_differences(run.header, baseline->header, arm, out_.baseline))
      if (std::find(out_.warnings.begin(), out_.warnings.end(), sentence) == out_.warnings.end())
        out_.warnings.push_back(sentence);
  }

  CurveComparison out_;
  bool several_ = false;
  std::vector<Candidate> candidates_;
  std::set<std::filesystem::path> seen_;
  std::set<std::tuple<std::string, std::string, int64_t>> complete_;
};

void add_nearest(AnswersBySeed& answers, const ArmCurves& curves, int64_t seed, double x) {
  const auto found = curves.answers.find(seed);
  if (found == curves.answers.end()) return;
  const auto nearest = std::min_element(
      found->second.begin(), found->second.end(),
      [&](const auto& a, const auto& b) { return std::abs(a.first - x) < std::abs(b.first - x); });
  answers[seed] = nearest->second;
}

// The ends of `of_answers` moved to the value. None unless each of at least two seeds has answers.
Interval with_ends_of(Interval value, const Interval& of_answers, double scale) {
  const bool known = value.n > 1 && of_answers.n == value.n;
  value.low = known ? value.value + scale * (of_answers.low - of_answers.value) : not_known;
  value.high = known ? value.value + scale * (of_answers.high - of_answers.value) : not_known;
  return value;
}

}  // namespace

std::vector<const ArmCurves*> CurveComparison::at_point(const std::string& point) const {
  std::vector<const ArmCurves*> found;
  for (const auto& arm : curves)
    if (arm.sweep_point == point) found.push_back(&arm);
  return found;
}

CurveComparison compare_curves(const std::vector<RunRecord>& runs, const std::string& metric,
                               const CurveOptions& options) {
  return Collection(runs, metric, options).take();
}

Interval mean_at(const ArmCurves& curves, double x) {
  std::vector<double> values;
  AnswersBySeed answers;
  for (const auto& [seed, series] : curves.by_seed)
    if (const auto value = value_at(series, x)) {
      values.push_back(*value);
      add_nearest(answers, curves, seed, x);
    }
  const Interval interval = mean_interval(values);
  return curves.answers.empty() ? interval : with_ends_of(interval, share_right(answers), curves.scale);
}

ArmCurves drawn_part(const ArmCurves& curves) {
  ArmCurves part = curves;
  std::erase_if(part.by_seed, [&](const auto& entry) {
    return std::find(curves.drawn.begin(), curves.drawn.end(), entry.first) == curves.drawn.end();
  });
  return part;
}

Interval difference_at(const ArmCurves& curves, const ArmCurves& baseline, double x) {
  std::vector<double> ours, theirs;
  AnswersBySeed answers, others;
  for (const auto& [seed, series] : curves.by_seed) {
    const auto other = baseline.by_seed.find(seed);
    if (other == baseline.by_seed.end()) continue;
    const auto a = value_at(series, x), b = value_at(other->second, x);
    if (!a || !b) continue;
    ours.push_back(*a);
    theirs.push_back(*b);
    add_nearest(answers, curves, seed, x);
    add_nearest(others, baseline, seed, x);
  }
  const Interval interval = paired_difference(ours, theirs).difference;
  if (curves.answers.empty()) return interval;
  return with_ends_of(interval, difference_in_right(answers, others).found.difference, curves.scale);
}

}  // namespace attnlab
