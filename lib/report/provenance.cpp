// Configs, conversions, and where the runs come from.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/facts.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

std::string name_of_run(const RunHeader& header) {
  return header.sweep_point.empty() ? header.arm : header.arm + ", " + header.sweep_point;
}

Html config_differences(const RunHeader& first, const RunHeader& other) {
  Html items;
  for (const auto& difference : differences(other.config, first.config))
    items += element("li", text(difference));
  return items.empty() ? paragraph("The same.") : element("ul", items);
}

// The first arm's config whole, the others as what differs from it.
Html configs(const Experiment& experiment) {
  const RunHeader& first = experiment.points.front().arms.front().runs.front()->header;
  Html out = foldable(text("Config of " + name_of_run(first) + fmt::format(", seed {}", first.seed)),
                      preformatted(first.resolved_yaml));
  Html rest;
  for (const auto& point : experiment.points)
    for (const auto& arm : point.arms) {
      const RunHeader& header = arm.runs.front()->header;
      if (&header != &first)
        rest += element("h4", text(name_of_run(header))) + config_differences(first, header);
    }
  if (!rest.empty()) out += foldable(text("What differs in the configs of the other arms"), rest);
  return out;
}

Html conversions(const Experiment& experiment) {
  Grid grid{.titles = {"arm"}};
  for (const auto& point : experiment.points)
    for (const auto& arm : point.arms) {
      const RunHeader& header = arm.runs.front()->header;
      if (header.conversion.empty()) continue;
      if (grid.titles.size() == 1)
        for (const auto& [key, value] : header.conversion) grid.titles.push_back(key);
      Line& line = grid.lines.emplace_back(Line{.cells = {name_of_run(header)}});
      for (size_t i = 1; i < grid.titles.size(); ++i) {
        std::string cell;
        for (const auto& [key, value] : header.conversion)
          if (key == grid.titles[i])
            cell = std::holds_alternative<double>(value) ? number(std::get<double>(value)) : plain_text(value);
        line.cells.push_back(cell);
      }
    }
  if (grid.lines.empty()) return paragraph("The runs hold no report of a conversion.");
  return table_of(grid, "Converted models against the base, before training (first seed)");
}

// What one key of the provenance is in all runs: one value, or each value with the runs that have it.
Html values_of(const Experiment& experiment, const std::string& key) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::string>> runs;
  for (const auto& run : experiment.runs) {
    const std::string value = fact(run.header.provenance, key);
    if (!runs.contains(value)) order.push_back(value);
    runs[value].push_back(fmt::format("{} seed {}", name_of_run(run.header), run.header.seed));
  }
  if (order.size() == 1) return text(order.front());
  Html items;
  for (const auto& value : order)
    items += element("li", text((value.empty() ? "(none)" : value) + ": " + listed(runs.at(value))));
  return foldable(text(fmt::format("{} values", order.size())), element("ul", items));
}

Html provenance(const Experiment& experiment) {
  std::vector<std::string> keys;
  for (const auto& run : experiment.runs)
    for (const auto& [key, value] : run.header.provenance) keys.push_back(key);
  std::vector<std::pair<std::string, Html>> rows;
  for (const auto& key : distinct(keys)) rows.emplace_back(key, values_of(experiment, key));
  if (rows.empty()) return paragraph("The runs tell nothing of where they come from.");
  return foldable(text("Provenance and environment of " + count(std::ssize(experiment.runs), "run")),
                  list_table(rows, experiment.name + ": provenance"));
}

Html measured_provenance(const Measurements& measured) {
  std::vector<std::pair<std::string, Html>> rows;
  for (const auto& [key, value] : measured.provenance) rows.emplace_back(key, text(plain_text(value)));
  const std::string name = measured.path.filename().string();
  return element("h3", text(name)) +
         (rows.empty() ? paragraph("The file tells nothing of where it comes from.")
                       : foldable(text("Provenance and environment"), list_table(rows, name + ": provenance")));
}

}  // namespace

Html provenance_section(const Experiments& experiments, const std::vector<Measurements>& measured) {
  Html out;
  for (const auto& experiment : experiments) {
    out += element("h3", text(experiment.name));
    if (!experiment.points.empty()) out += configs(experiment) + conversions(experiment);
    out += provenance(experiment);
  }
  for (const auto& one : measured) out += measured_provenance(one);
  if (out.empty()) out = paragraph("No runs and no measurements were given.");
  return section("provenance", "Configs and provenance", out);
}

}  // namespace attnlab::report
