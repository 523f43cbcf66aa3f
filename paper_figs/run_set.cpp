#include "run_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "core/errors.h"

namespace attnlab {
namespace {

template <class T>
size_t place_in(std::vector<T>& list, const T& value) {
  const auto found = std::find(list.begin(), list.end(), value);
  if (found != list.end()) return static_cast<size_t>(found - list.begin());
  list.push_back(value);
  return list.size() - 1;
}

// Numbers within the texts count as numbers: "rank=16" stands before "rank=128".
bool is_before(const std::string& a, const std::string& b) {
  const char *x = a.c_str(), *y = b.c_str();
  while (*x && *y) {
    char *x_end = nullptr, *y_end = nullptr;
    const bool digits =
        std::isdigit(static_cast<unsigned char>(*x)) && std::isdigit(static_cast<unsigned char>(*y));
    const double number_x = digits ? std::strtod(x, &x_end) : 0, number_y = digits ? std::strtod(y, &y_end) : 0;
    if (number_x != number_y) return number_x < number_y;
    if (!digits && *x != *y) return *x < *y;
    x = digits ? x_end : x + 1;
    y = digits ? y_end : y + 1;
  }
  return !*x && *y;
}

std::string why_unfinished(const RunRecord& run) {
  if (run.state == RunState::failed) return fmt::format("failed after step {}: {}", run.last_step, run.message);
  return fmt::format("not finished (at step {})", run.train.empty() ? run.last_step : run.train.back().step);
}

// Drops unfinished runs, and a file that was named twice.
std::vector<RunRecord> choose(std::vector<RunRecord> records, bool unfinished,
                              std::vector<std::string>& notes) {
  std::vector<RunRecord> kept;
  std::set<std::filesystem::path> seen;
  for (auto& run : records) {
    std::error_code ignored;
    if (!seen.insert(std::filesystem::weakly_canonical(run.path, ignored)).second) continue;
    if (unfinished || run.state == RunState::complete) {
      kept.push_back(std::move(run));
    } else {
      notes.push_back(fmt::format("{} is left out: {}", run.path.string(), why_unfinished(run)));
    }
  }
  return kept;
}

std::function<std::string(const RunHeader&)> labeller(const std::vector<RunRecord>& records) {
  const bool several = std::any_of(records.begin(), records.end(), [&](const RunRecord& run) {
    return run.header.experiment != records.front().header.experiment;
  });
  return [several](const RunHeader& header) {
    return several ? header.experiment + "/" + header.arm : header.arm;
  };
}

}  // namespace

std::vector<const RunCell*> RunSet::cells_at(size_t point) const {
  std::vector<const RunCell*> found;
  for (const auto& cell : cells)
    if (cell.point == point) found.push_back(&cell);
  return found;
}

RunSet sort_runs(std::vector<RunRecord> records, bool unfinished) {
  RunSet set;
  set.records = choose(std::move(records), unfinished, set.notes);
  if (set.records.empty())
    throw InputError(BadInput{.file = "RESULTS",
                              .found = "no finished run",
                              .expected = "at least one (--unfinished draws the others too)"});
  const auto label = labeller(set.records);
  std::vector<std::string> experiments;
  std::map<std::tuple<size_t, int64_t, std::string>, const RunRecord*> order;
  for (const auto& run : set.records) {
    const size_t experiment = place_in(experiments, run.header.experiment);
    order.emplace(std::tuple(experiment, run.header.arm_index, run.header.arm), &run);
    place_in(set.points, run.header.sweep_point);
  }
  std::stable_sort(set.points.begin(), set.points.end(), is_before);
  for (const auto& [key, run] : order) place_in(set.arms, label(run->header));

  std::map<std::pair<size_t, size_t>, std::map<int64_t, const RunRecord*>> by_cell;
  for (const auto& run : set.records) {
    auto& seeds =
        by_cell[{place_in(set.points, run.header.sweep_point), place_in(set.arms, label(run.header))}];
    if (!seeds.emplace(run.header.seed, &run).second)
      set.notes.push_back(fmt::format("{} is left out: another run has its arm and seed", run.path.string()));
  }
  for (const auto& [key, seeds] : by_cell) {
    RunCell& cell = set.cells.emplace_back(RunCell{.arm = key.second, .point = key.first});
    for (const auto& [seed, run] : seeds) cell.runs.push_back(run);
  }
  return set;
}

Spread spread_of(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += value;
  return {.mean = sum / static_cast<double>(values.size()), .low = *low, .high = *high};
}

std::string count_seeds(const std::vector<size_t>& counts) {
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  if (*least != *most) return fmt::format("n = {} to {} seeds", *least, *most);
  return fmt::format("n = {} seed{}", *most, *most == 1 ? "" : "s");
}

std::string count_seeds(const std::vector<const RunCell*>& cells) {
  std::vector<size_t> counts;
  for (const RunCell* cell : cells) counts.push_back(cell->runs.size());
  return count_seeds(counts);
}

std::vector<int64_t> common_steps(const RunCell& cell,
                                  const std::function<std::vector<int64_t>(const RunRecord&)>& list) {
  std::vector<int64_t> common = list(*cell.runs.front());
  for (const RunRecord* run : cell.runs) {
    const std::vector<int64_t> steps = list(*run);
    std::vector<int64_t> both;
    std::set_intersection(common.begin(), common.end(), steps.begin(), steps.end(), std::back_inserter(both));
    common = std::move(both);
  }
  return common;
}

std::string plain_name(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  return text;
}

std::string file_name(const std::string& name, const RunSet& runs) { return runs.file_prefix + name; }

std::string file_name(const std::string& name, const RunSet& runs, size_t point) {
  if (runs.points.size() == 1) return file_name(name, runs);
  // Two points that differ only in what was replaced are told apart by their number.
  std::string suffix = plain_name(runs.points[point]);
  for (size_t other = 0; other < point; ++other)
    if (plain_name(runs.points[other]) == plain_name(runs.points[point]))
      suffix = fmt::format("{}-{}", plain_name(runs.points[point]), point + 1);
  return fmt::format("{}-{}", file_name(name, runs), suffix);
}

std::string title_of(const std::string& title, const RunSet& runs, const std::string& point) {
  std::string text = title;
  for (const std::string& part : {runs.experiment, point})
    if (!part.empty()) text += ", " + part;
  return text;
}

}  // namespace attnlab
