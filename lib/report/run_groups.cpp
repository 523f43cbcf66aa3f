#include "report/run_groups.h"

#include <algorithm>
#include <map>
#include <set>

namespace attnlab::report {
namespace {

template <class T, class Same>
T& find_or_add(std::vector<T>& list, Same&& same) {
  const auto found = std::find_if(list.begin(), list.end(), same);
  return found == list.end() ? list.emplace_back() : *found;
}

bool is_complete(const RunRecord& run) { return run.state == RunState::complete; }

std::vector<std::string> arms_in(const std::vector<RunRecord>& runs) {
  std::set<std::pair<int64_t, std::string>> places;
  for (const auto& run : runs) places.emplace(run.header.arm_index, run.header.arm);
  std::vector<std::string> arms;
  for (const auto& [place, arm] : places)
    if (std::find(arms.begin(), arms.end(), arm) == arms.end()) arms.push_back(arm);
  return arms;
}

PointRuns sort_point(const Experiment& experiment, const std::string& sweep_point) {
  PointRuns point{.sweep_point = sweep_point};
  for (size_t look = 0; look < experiment.arms.size(); ++look) {
    std::map<int64_t, const RunRecord*> by_seed;
    for (const auto& run : experiment.runs)
      if ((experiment.unfinished || is_complete(run)) && run.header.arm == experiment.arms[look] &&
          run.header.sweep_point == sweep_point)
        by_seed.emplace(run.header.seed, &run);
    if (by_seed.empty()) continue;
    ArmRuns& arm = point.arms.emplace_back(ArmRuns{.arm = experiment.arms[look], .look = look});
    for (const auto& [seed, run] : by_seed) arm.runs.push_back(run);
  }
  return point;
}

void sort_points(Experiment& experiment) {
  experiment.arms = arms_in(experiment.runs);
  experiment.unfinished = std::none_of(experiment.runs.begin(), experiment.runs.end(), is_complete);
  std::vector<std::string> names;
  for (const auto& run : experiment.runs) {
    if (std::find(names.begin(), names.end(), run.header.sweep_point) != names.end()) continue;
    names.push_back(run.header.sweep_point);
    PointRuns point = sort_point(experiment, run.header.sweep_point);
    if (!point.arms.empty()) experiment.points.push_back(std::move(point));
  }
}

}  // namespace

std::vector<Experiment> group_runs(std::vector<RunRecord> runs) {
  std::vector<Experiment> experiments;
  std::set<std::filesystem::path> seen;
  for (auto& run : runs) {
    std::error_code ignored;
    if (!seen.insert(std::filesystem::weakly_canonical(run.path, ignored)).second) continue;
    Experiment& experiment =
        find_or_add(experiments, [&](const Experiment& known) { return known.name == run.header.experiment; });
    experiment.name = run.header.experiment;
    experiment.runs.push_back(std::move(run));
  }
  for (auto& experiment : experiments) sort_points(experiment);
  return experiments;
}

std::string title_of(const Experiment& experiment, const PointRuns& point) {
  return point.sweep_point.empty() ? experiment.name : experiment.name + ", " + point.sweep_point;
}

}  // namespace attnlab::report
