#include "figure_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>

namespace attnlab {
namespace {
namespace fs = std::filesystem;

template <class Row>
void append(std::vector<Row>& all, std::vector<Row>&& more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

void append(Measurements& all, Measurements&& more) {
  append(all.conversions, std::move(more.conversions));
  append(all.norms, std::move(more.norms));
  append(all.grams, std::move(more.grams));
  append(all.decode_steps, std::move(more.decode_steps));
  append(all.served, std::move(more.served));
  append(all.fits, std::move(more.fits));
  append(all.caches, std::move(more.caches));
}

// Names that differ only in what plain_name replaces are told apart by a number.
void name_apart(std::vector<RunSet>& sets) {
  std::map<std::string, int> used;
  for (RunSet& set : sets) {
    set.experiment = set.records.front().header.experiment;
    const std::string name = plain_name(set.experiment);
    const int times = ++used[name];
    set.file_prefix = times == 1 ? name + "-" : fmt::format("{}-{}-", name, times);
  }
}

bool none_counts(const std::vector<RunRecord>& runs, bool unfinished) {
  return !unfinished && std::none_of(runs.begin(), runs.end(),
                                     [](const RunRecord& run) { return run.state == RunState::complete; });
}

}  // namespace

std::vector<RunSet> split_by_experiment(std::vector<RunRecord> records, bool unfinished,
                                        std::vector<std::string>& notes) {
  std::vector<std::vector<RunRecord>> groups;
  for (RunRecord& run : records) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& candidate) {
      return candidate.front().header.experiment == run.header.experiment;
    });
    if (group == groups.end())
      groups.emplace_back().push_back(std::move(run));
    else
      group->push_back(std::move(run));
  }
  std::vector<RunSet> sets;
  for (auto& group : groups) {
    if (none_counts(group, unfinished)) {
      notes.push_back(
          fmt::format("experiment {} is left out: no finished run", group.front().header.experiment));
      continue;
    }
    RunSet& set = sets.emplace_back(sort_runs(std::move(group), unfinished));
    notes.insert(notes.end(), set.notes.begin(), set.notes.end());
  }
  if (sets.size() > 1) name_apart(sets);
  return sets;
}

FigureInputs read_figure_inputs(const std::vector<std::string>& results, bool unfinished) {
  FigureInputs inputs;
  std::vector<RunRecord> records;
  bool measured_any = false;
  for (const std::string& path : results) {
    std::vector<Measurements> measured = find_measurements(path);
    // A folder with nothing in it is refused by read_runs.
    if (measured.empty() || holds_runs(path)) append(records, read_runs(path));
    for (Measurements& file : measured) append(inputs.measured, std::move(file));
    measured_any = measured_any || !measured.empty();
  }
  if (!measured_any && none_counts(records, unfinished)) sort_runs(records, unfinished);  // throws
  inputs.experiments = split_by_experiment(std::move(records), unfinished, inputs.notes);
  return inputs;
}

}  // namespace attnlab
