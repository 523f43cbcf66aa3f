#include "results/tidy_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/csv.h"
#include "core/find_field.h"
#include "results/evaluation_file.h"

namespace attnlab {
namespace {

constexpr const char* kRunColumns = "experiment,arm,sweep_point,seed";

std::string run_cells(const RunRecord& run) {
  const RunHeader& header = run.header;
  return fmt::format("{},{},{},{}", csv_text(header.experiment), csv_text(header.arm),
                     csv_text(header.sweep_point), header.seed);
}

struct Names {
  std::string& out;
  template <class T>
  void operator()(const Key& key, const T&) const {
    out += "," + std::string(key.name);
  }
};

struct Cells {
  std::string& out;
  void operator()(const Key&, int64_t value) const { out += fmt::format(",{}", value); }
  void operator()(const Key&, double value) const {
    out += std::isnan(value) ? ",nan" : fmt::format(",{}", value);  // a NaN may carry a sign
  }
  void operator()(const Key&, const std::string& value) const { out += "," + csv_text(value); }
};

template <class Row>
std::string column_list() {
  std::string names;
  const Row row;
  Row::fields(row, Names{names});
  return names;
}

template <class Row>
void add_rows(std::string& csv, const RunRecord& run, const std::vector<Row>& rows,
              const std::string& before = "") {
  const std::string cells = run_cells(run) + before;
  for (const auto& row : rows) {
    csv += cells;
    Row::fields(row, Cells{csv});
    csv += "\n";
  }
}

// A leaf as a plain text: strings without YAML's quotes.
std::string plain_text(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return csv_text(*text);
  return csv_text(to_text(value));
}

using Part = std::pair<const char*, FlatFields RunHeader::*>;
constexpr std::array<Part, 3> kParts{{{"config.", &RunHeader::config},
                                      {"provenance.", &RunHeader::provenance},
                                      {"conversion.", &RunHeader::conversion}}};

// Keys of a part over all runs, in the order in which they come first.
std::vector<std::string> keys_of(const std::vector<RunRecord>& runs, FlatFields RunHeader::*part) {
  std::vector<std::string> keys;
  for (const auto& run : runs)
    for (const auto& [key, value] : run.header.*part)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return keys;
}

std::string cell_of(const FlatFields& fields, const std::string& key) {
  const FieldValue* value = find_field(fields, key);
  return value ? plain_text(*value) : "";
}

constexpr const char* kHeaderColumns =
    "variant,arm_index,state,last_step,message,parameters_total,parameters_trainable,"
    "cached_numbers_per_token,cache_context,cache_bytes,flops_per_token,file";

template <class T>
std::string number_or_nothing(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

std::string header_cells(const RunRecord& run) {
  const RunHeader& header = run.header;
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}", csv_text(header.variant), header.arm_index,
                     name_of(run.state), run.last_step, csv_text(run.message), header.parameters_total,
                     header.parameters_trainable, header.cached_numbers_per_token,
                     number_or_nothing(header.cache_context), number_or_nothing(header.cache_bytes),
                     header.flops_per_token, csv_text(run.path.string()));
}

std::string runs_csv(const std::vector<RunRecord>& runs) {
  std::string csv = fmt::format("{},{}", kRunColumns, kHeaderColumns);
  std::vector<std::pair<FlatFields RunHeader::*, std::string>> columns;
  for (const auto& [prefix, part] : kParts)
    for (const auto& key : keys_of(runs, part)) {
      columns.emplace_back(part, key);
      csv += "," + csv_text(prefix + key);
    }
  csv += "\n";
  for (const auto& run : runs) {
    csv += run_cells(run) + "," + header_cells(run);
    for (const auto& [part, key] : columns) csv += "," + cell_of(run.header.*part, key);
    csv += "\n";
  }
  return csv;
}

}  // namespace

std::vector<TidyTable> tidy_tables(const std::vector<RunRecord>& runs) {
  const std::string head = kRunColumns;
  std::string train = head + column_list<TrainRow>() + "\n";
  std::string evaluations = head + column_list<EvaluationRow>() + "\n";
  std::string distillation = head + column_list<DistillationRow>() + "\n";
  std::string tasks = head + ",step" + column_list<ScoreRow>() + "\n";
  for (const auto& run : runs) {
    add_rows(train, run, run.train);
    add_rows(evaluations, run, run.evaluations);
    add_rows(distillation, run, run.distillation);
    for (const auto& [step, path] : tasks_files(run.path))
      add_rows(tasks, run, read_evaluation(path).scores, fmt::format(",{}", step));
  }
  return {{"runs", runs_csv(runs)},
          {"train", train},
          {"evaluations", evaluations},
          {"tasks", tasks},
          {"distillation", distillation}};
}

std::string describe_tidy_tables() {
  return fmt::format(
      "runs.csv: {0},\n  {1},\n  and all of config.*, provenance.*, conversion.*\n"
      "train.csv: {0}{2}\nevaluations.csv: {0}{3}\ntasks.csv: {0},step{4}\n"
      "distillation.csv: {0}{5}",
      kRunColumns, kHeaderColumns, column_list<TrainRow>(), column_list<EvaluationRow>(),
      column_list<ScoreRow>(), column_list<DistillationRow>());
}

}  // namespace attnlab
