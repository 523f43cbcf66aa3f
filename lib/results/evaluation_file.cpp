#include "results/evaluation_file.h"

#include <algorithm>

#include "core/errors.h"
#include "core/numbers.h"
#include "results/archive.h"
#include "results/attributes.h"
#include "results/whole_file.h"
#include "results/whole_table.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEvaluationFormat = "attnlab evaluation 1";

void write_task(hid_t tasks, const TaskRecord& task) {
  const hdf5::Handle group = hdf5::create_group(tasks, task.label);
  std::vector<std::string> protocols;
  for (const auto& [protocol, rows] : task.judgements) protocols.push_back(protocol);
  write_attribute(group, "protocols", protocols);
  for (const auto& [key, value] : task.config) write_attribute(group, "config." + key, value);
  if (!task.replies.empty()) write_table(group, "replies", task.replies);
  for (const auto& [protocol, rows] : task.judgements) write_table(group, protocol, rows);
  if (!task.choices.empty()) write_table(group, "choices", task.choices);
}

TaskRecord read_task(hid_t tasks, const std::string& label) {
  const hdf5::Handle group = hdf5::open_group(tasks, label);
  TaskRecord task{.label = label};
  for (const auto& [key, value] : read_attributes(group))
    if (key.starts_with("config.")) task.config.emplace_back(key.substr(7), value);
  task.replies = read_table<ReplyRow>(group, "replies");
  const FieldValue protocols = read_attribute(group, "protocols");
  for (const auto& protocol : std::get<std::vector<std::string>>(protocols))
    task.judgements.emplace_back(protocol, read_table<JudgementRow>(group, protocol));
  task.choices = read_table<ChoiceRow>(group, "choices");
  return task;
}

[[noreturn]] void refuse_evaluation(const fs::path& path, const std::string& found) {
  throw InputError(
      BadInput{.file = path.string(), .found = found, .expected = "the HDF5 file of an evaluation"});
}

}  // namespace

std::string tasks_prefix(const fs::path& run_file) { return "tasks." + run_file.stem().string() + ".step"; }

fs::path tasks_file(const fs::path& run_file, int64_t step) {
  return run_file.parent_path() / (tasks_prefix(run_file) + std::to_string(step) + ".h5");
}

std::vector<std::pair<int64_t, fs::path>> tasks_files(const fs::path& run_file) {
  const std::string prefix = tasks_prefix(run_file);
  std::vector<std::pair<int64_t, fs::path>> found;
  const fs::path folder = run_file.has_parent_path() ? run_file.parent_path() : ".";
  for (const auto& file : result_files(folder)) {
    const std::string name = file.filename().string();
    if (file.parent_path() != folder || !name.starts_with(prefix) || !name.ends_with(".h5")) continue;
    const auto step = parse_number<int64_t>(file.stem().string().substr(prefix.size()));
    if (step) found.emplace_back(*step, file);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void write_evaluation(const fs::path& path, const EvaluationRecord& record) {
  write_whole_file(path, [&](hid_t file) {
    write_attribute(file, "format", std::string(kEvaluationFormat));
    {
      const hdf5::Handle provenance = hdf5::create_group(file, "provenance");
      for (const auto& [key, value] : record.provenance) write_attribute(provenance, key, value);
      const hdf5::Handle tasks = hdf5::create_group(file, "tasks");
      std::vector<std::string> labels;
      for (const auto& task : record.tasks) {
        labels.push_back(task.label);
        write_task(tasks, task);
      }
      write_attribute(tasks, "labels", labels);
    }
    write_table(file, "scores", record.scores);
  });
}

EvaluationRecord read_evaluation(const fs::path& path) {
  std::error_code ignored;
  if (!result_exists(path)) refuse_evaluation(path, fs::exists(path, ignored) ? "no file" : "nothing");
  try {
    const hdf5::Handle file = hdf5::open_file(path, hdf5::Mode::read);
    if (read_format(file) != kEvaluationFormat) refuse_evaluation(path, "format '" + read_format(file) + "'");
    EvaluationRecord record{.path = path};
    record.provenance = read_attributes(hdf5::open_group(file, "provenance"));
    const hdf5::Handle tasks = hdf5::open_group(file, "tasks");
    const FieldValue labels = read_attribute(tasks, "labels");
    for (const auto& label : std::get<std::vector<std::string>>(labels))
      record.tasks.push_back(read_task(tasks, label));
    record.scores = read_table<ScoreRow>(file, "scores");
    return record;
  } catch (const hdf5::Error& error) {
    refuse_evaluation(path, error.what());
  }
}

}  // namespace attnlab
