#include "results/run_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "core/errors.h"
#include "core/find_field.h"
#include "results/evaluation_file.h"
#include "results/event_file.h"

namespace attnlab {
namespace {

// One folder's name: no separators, and not "..".
std::string folder_name(std::string text) {
  for (char& c : text)
    if (c == '/' || c == '\\' || c == '\0') c = '_';
  return text.starts_with('.') ? "_" + text : text;
}

// As a block of Markdown that is shown as it is.
std::string as_block(const FlatFields& fields) {
  std::string text;
  for (const auto& [key, value] : fields) text += "    " + key + ": " + to_text(value) + "\n";
  return text;
}

void add(EventScalars& to, const EventScalars& more) { to.insert(to.end(), more.begin(), more.end()); }

std::map<int64_t, EventScalars> scalars_by_step(const RunRecord& run) {
  std::map<int64_t, EventScalars> by_step;
  for (const auto& row : run.train) by_step[row.step] = event_scalars(row);
  for (const auto& row : run.distillation) add(by_step[row.step], event_scalars(row));
  for (const auto& row : run.evaluations) add(by_step[row.step], event_scalars(row));
  for (const auto& [step, path] : tasks_files(run.path)) add(by_step[step], event_scalars_of_tasks(path));
  return by_step;
}

}  // namespace

EventScalars event_scalars(const TrainRow& row) {
  return {{"train/loss", row.loss},
          {"train/lr", row.learning_rate},
          {"train/gradient_norm", row.gradient_norm},
          {"train/tokens", static_cast<double>(row.tokens)},
          {"train/tokens_per_second", row.tokens_per_second}};
}

EventScalars event_scalars(const DistillationRow& row) {
  return {{"distill/divergence", row.divergence},
          {"distill/layer_distance", row.layer_distance},
          {"distill/objective", row.objective}};
}

EventScalars event_scalars(const EvaluationRow& row) {
  EventScalars scalars;
  if (row.heldout_tokens > 0) scalars.emplace_back("heldout/loss", row.heldout_loss);
  if (row.problems > 0) scalars.emplace_back("accuracy", row.accuracy);
  return scalars;
}

EventScalars event_scalars_of_tasks(const std::filesystem::path& file) {
  EventScalars scalars;
  for (const auto& row : read_evaluation(file).scores)
    scalars.emplace_back(
        "tasks/" + row.task + (row.protocol.empty() ? "" : "/" + row.protocol) + "/" + row.metric, row.value);
  return scalars;
}

int64_t started_at(const RunRecord& run) {
  std::tm utc{};
  const auto* text = find_field<std::string>(run.header.provenance, "started");
  const bool read = text && strptime(text->c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return read ? static_cast<int64_t>(timegm(&utc)) : 0;
}

std::filesystem::path event_path(const RunRecord& run) {
  std::filesystem::path path =
      std::filesystem::path(folder_name(run.header.experiment)) / folder_name(run.header.arm);
  if (!run.header.sweep_point.empty()) path /= folder_name(run.header.sweep_point);
  return path / fmt::format("seed{}", run.header.seed) /
         fmt::format("events.out.tfevents.{:010}.attnlab", started_at(run));
}

std::string event_bytes(const RunRecord& run) {
  const auto start = static_cast<double>(started_at(run));
  std::string bytes = event_record(version_event(start));
  bytes += event_record(text_event(start, "config", as_block(run.header.config)));
  bytes += event_record(text_event(start, "provenance", as_block(run.header.provenance)));
  size_t next = 0;
  double seconds = 0;
  for (const auto& [step, scalars] : scalars_by_step(run)) {
    for (; next < run.train.size() && run.train[next].step <= step; ++next) seconds = run.train[next].seconds;
    if (!scalars.empty()) bytes += event_record(scalars_event(start + seconds, step, scalars));
  }
  return bytes;
}

EventLog::EventLog(const std::filesystem::path& folder, RunRecord run, int64_t step)
    : path_(folder / event_path(run)), start_(static_cast<double>(started_at(run))) {
  std::erase_if(run.train, [&](const auto& row) { return row.step > step; });
  std::erase_if(run.evaluations, [&](const auto& row) { return row.step > step; });
  std::error_code failed;
  std::filesystem::create_directories(path_.parent_path(), failed);
  out_.open(path_, std::ios::binary | std::ios::trunc);
  write(event_bytes(run));
}

void EventLog::put(int64_t step, double seconds, const EventScalars& scalars) {
  if (!scalars.empty()) write(event_record(scalars_event(start_ + seconds, step, scalars)));
}

void EventLog::write(const std::string& bytes) {
  out_ << bytes;
  if (!out_.flush()) throw RunError("can't write " + path_.string());
}

}  // namespace attnlab
