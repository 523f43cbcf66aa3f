#include "compare/noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compare/answers.h"
#include "core/errors.h"
#include "results/archive.h"
#include "stats/components.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

struct Level {
  std::string protocol;  // that asked
  Answers answers;
};
using Factors = std::map<std::string, std::vector<Level>>;  // by name
using Tasks = std::map<std::string, Factors>;               // by label

bool is_run(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("seed") || name.starts_with("select");
}

// Several replies to a problem are levels of sampling.
std::vector<std::vector<JudgementRow>> by_sample(const std::vector<JudgementRow>& rows) {
  std::map<int64_t, std::vector<JudgementRow>> samples;
  for (const auto& row : rows) samples[row.sample].push_back(row);
  std::vector<std::vector<JudgementRow>> out;
  for (auto& [sample, own] : samples) out.push_back(std::move(own));
  return out;
}

void add_file(Tasks& tasks, const std::string& factor, const fs::path& path) {
  for (const auto& task : read_evaluation(path).tasks) {
    if (task.judgements.empty()) continue;
    const auto& [protocol, rows] = task.judgements.front();
    const std::string label = task.label.substr(0, task.label.find('@'));
    for (const auto& sample : by_sample(rows))
      tasks[label][factor].push_back({.protocol = protocol, .answers = answers_of(sample)});
  }
}

Tasks read_levels(const fs::path& folder) {
  Tasks tasks;
  if (!fs::is_directory(folder))
    throw InputError(
        BadInput{.file = folder.string(), .found = "no folder", .expected = "FACTOR/LEVEL.h5 below it"});
  std::vector<fs::path> factors;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory()) factors.push_back(entry.path());
  std::sort(factors.begin(), factors.end());
  for (const auto& factor : factors)
    for (const auto& path : result_files(factor))
      if (path.extension() == ".h5" && !is_run(path)) add_file(tasks, factor.filename().string(), path);
  if (tasks.empty())
    throw InputError(BadInput{.file = folder.string(),
                              .found = "no evaluation",
                              .expected = "FACTOR/LEVEL.h5, as eval_model --out writes them"});
  return tasks;
}

bool same_keys(const Answers& a, const Answers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

double score_of(const Answers& answers) {
  double sum = 0;
  for (const auto& [problem, right] : answers) sum += right;
  return 100 * sum / static_cast<double>(answers.size());
}

Interval root_of(const Interval& variance) {
  Interval sd = variance;
  for (double* end : {&sd.value, &sd.low, &sd.high}) *end = std::sqrt(*end);
  return sd;
}

double share_of_flips(const std::vector<const Level*>& levels) {
  int64_t flips = 0;
  for (const auto& [problem, right] : levels.front()->answers)
    flips += std::any_of(levels.begin(), levels.end(),
                         [&, p = problem, r = right](const Level* level) { return level->answers.at(p) != r; });
  return static_cast<double>(flips) / static_cast<double>(levels.front()->answers.size());
}

std::vector<const Level*> comparable(const std::vector<Level>& levels) {
  std::vector<const Level*> out;
  for (const auto& level : levels)
    if (!level.answers.empty() && (out.empty() || same_keys(level.answers, out.front()->answers)))
      out.push_back(&level);
  return out;
}

// Empty with fewer than two levels.
std::vector<NoiseComponent> component_of(const std::string& task, const std::string& factor,
                                         const std::vector<Level>& all) {
  const auto levels = comparable(all);
  if (levels.size() < 2) return {};
  std::vector<double> scores;
  std::set<std::string> protocols;
  for (const Level* level : levels) {
    scores.push_back(score_of(level->answers));
    protocols.insert(level->protocol);
  }
  return {{.task = task,
           .protocol = protocols.size() == 1 ? *protocols.begin() : "several",
           .factor = factor,
           .levels = std::ssize(levels),
           .problems = std::ssize(levels.front()->answers),
           .sd = root_of(variance_interval(scores)),
           .flips = share_of_flips(levels)}};
}

// Of a mean of P problems: their variance over P.
NoiseComponent problem_component(const std::string& task, const Level& level) {
  std::vector<double> values;
  for (const auto& [problem, right] : level.answers) values.push_back(100 * right);
  Interval variance = variance_interval(values);
  const auto problems = static_cast<double>(values.size());
  for (double* end : {&variance.value, &variance.low, &variance.high}) *end /= problems;
  return {.task = task,
          .protocol = level.protocol,
          .factor = "problem",
          .levels = 1,
          .problems = std::ssize(values),
          .sd = root_of(variance)};
}

}  // namespace

std::vector<NoiseComponent> noise_components(const fs::path& folder) {
  std::vector<NoiseComponent> all;
  for (const auto& [task, factors] : read_levels(folder)) {
    std::vector<NoiseComponent> of_task;
    const std::vector<Level>* largest = nullptr;
    for (const auto& [factor, levels] : factors) {
      if (!largest || levels.size() > largest->size()) largest = &levels;
      for (auto& component : component_of(task, factor, levels)) of_task.push_back(std::move(component));
    }
    of_task.push_back(problem_component(task, largest->front()));
    double sum = 0;
    for (const auto& component : of_task) sum += component.sd.value * component.sd.value;
    for (auto& component : of_task)
      component.share = sum > 0 ? component.sd.value * component.sd.value / sum : 0;
    all.insert(all.end(), of_task.begin(), of_task.end());
  }
  return all;
}

Grid noise_grid(const std::vector<NoiseComponent>& components) {
  Grid grid{.titles = {"factor", "levels", "problems", "sd, points", "95 % interval", "answers that flip %",
                       "share of variance %"}};
  std::string heading;
  for (const auto& one : components) {
    if (one.task != heading) grid.lines.push_back({.heading = one.task + ":"});
    heading = one.task;
    grid.lines.push_back(
        {.cells = {one.factor, one.factor == "problem" ? "-" : fmt::format("{}", one.levels),
                   fmt::format("{}", one.problems), fmt::format("{:.2f}", one.sd.value),
                   one.sd.has_ends() ? fmt::format("[{:.2f}, {:.2f}]", one.sd.low, one.sd.high) : "-",
                   std::isnan(one.flips) ? "-" : fmt::format("{:.1f}", 100 * one.flips),
                   fmt::format("{:.1f}", 100 * one.share)}});
  }
  return grid;
}

std::string noise_note() {
  return "Standard deviation of the score over the levels of each factor, the same problems each time "
         "(problem: of the "
         "mean over as many other problems), with the interval of chi-square. Answers that flip: problems that "
         "levels judge differently. A factor whose levels all score alike has no interval: it was not seen to "
         "matter.";
}

}  // namespace attnlab
