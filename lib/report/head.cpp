// The first paragraph: what was compared.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "report/facts.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

std::string seeds_of(const Experiment& experiment) {
  std::vector<int64_t> seeds;
  for (const auto& run : experiment.runs) seeds.push_back(run.header.seed);
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  std::vector<std::string> texts;
  for (const int64_t seed : seeds) texts.push_back(std::to_string(seed));
  return listed(texts, 10);
}

std::string states_of(const Experiment& experiment) {
  const auto with = [&](RunState state) {
    return std::count_if(experiment.runs.begin(), experiment.runs.end(),
                         [&](const RunRecord& run) { return run.state == state; });
  };
  std::string out = fmt::format("{} finished", with(RunState::complete));
  if (with(RunState::running) > 0) out += fmt::format(", {} unfinished", with(RunState::running));
  if (with(RunState::failed) > 0) out += fmt::format(", {} failed", with(RunState::failed));
  return out;
}

// One size if all arms have it, else one for each arm, in the arms' order.
std::string sizes_of(const Experiment& experiment) {
  std::vector<std::string> sizes;
  for (const auto& arm : experiment.arms) {
    std::vector<std::string> of_arm;
    for (const auto& run : experiment.runs)
      if (run.header.arm == arm)
        of_arm.push_back(fmt::format("{:.2f}M", static_cast<double>(run.header.parameters_total) / 1e6));
    sizes.push_back(fmt::format("{}", fmt::join(distinct(of_arm), " or ")));
  }
  return join(distinct(sizes).size() == 1 ? distinct(sizes) : sizes);
}

Grid experiments_grid(const Experiments& experiments) {
  Grid grid{.titles = {"experiment", "arms", "sweep points", "seeds", "runs", "parameters"}};
  for (const auto& experiment : experiments) {
    std::vector<std::string> points;
    for (const auto& run : experiment.runs) points.push_back(run.header.sweep_point);
    const size_t swept = distinct(points).size();
    grid.lines.push_back(
        {.cells = {experiment.name, join(experiment.arms), fmt::format("{}", std::max<size_t>(1, swept)),
                   seeds_of(experiment), states_of(experiment), sizes_of(experiment)}});
  }
  return grid;
}

struct Machines {
  std::vector<std::string> devices, dates;

  void add(const FlatFields& provenance) {
    const std::string name = fact(provenance, "device_name");
    devices.push_back(name.empty() ? fact(provenance, "device") : name);
    dates.push_back(fact(provenance, "started").substr(0, 10));
  }
  std::string sentence() {
    std::string out;
    if (const auto names = distinct(devices); !names.empty()) out += "Computed on: " + listed(names, 5) + ". ";
    dates = distinct(dates);
    std::sort(dates.begin(), dates.end());
    if (dates.empty()) return out;
    return out +
           (dates.front() == dates.back() ? "On " + dates.front()
                                          : "From " + dates.front() + " to " + dates.back()) +
           ".";
  }
};

}  // namespace

Html head_section(const Experiments& experiments, const std::vector<Measurements>& measured) {
  Machines machines;
  int64_t runs = 0;
  for (const auto& experiment : experiments)
    for (const auto& run : experiment.runs) {
      machines.add(run.header.provenance);
      ++runs;
    }
  for (const auto& file : measured) machines.add(file.provenance);
  std::string sentence = count(runs, "run") + " of " + count(std::ssize(experiments), "experiment") + " and " +
                         count(std::ssize(measured), "file") + " of measurements. ";
  sentence += machines.sentence();
  Html out = element("p", {{"class", "lede"}}, text(sentence));
  if (!experiments.empty()) out += table_of(experiments_grid(experiments), "What was compared");
  return out;
}

}  // namespace attnlab::report
