#include "experiment/tasks/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/grid.h"
#include "core/errors.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

TaskConfig asked_by(TaskConfig config, Protocol asks, std::optional<int64_t> shots) {
  config.name = config.label() + "@" + std::string(name_of(asks)) + (shots == 0 ? ":0" : "");
  config.protocols = {std::string(name_of(asks))};
  for (const Protocol other : protocols_of(config.task))
    if (other != asks) config.protocols.emplace_back(name_of(other));
  config.shots = shots;
  return config;
}

bool asks_alike(const TaskData& a, const TaskData& b) {
  return a.prompts == b.prompts && a.max_new_tokens() == b.max_new_tokens();
}

}  // namespace

PublishedScore parse_published(const std::string& option, const std::string& text) {
  const auto value = parse_number<double>(text);
  if (!value || !(*value >= 0 && *value <= 100))
    throw InputError(BadInput{
        .file = option, .found = "'" + text + "'", .expected = "a published score in percent, as 61.6"});
  const size_t point = text.find('.');
  const auto digits = point == std::string::npos ? 0.0 : static_cast<double>(text.size() - point - 1);
  return {.percent = *value, .half_digit = 0.5 * std::pow(10.0, -digits)};
}

std::vector<TaskData> calibration_tasks(const TaskConfig& given, const std::string& key) {
  const auto protocols = protocols_of(given.task);
  if (protocols.empty())
    throw InputError(BadInput{.file = "--calibrate",
                              .found = "task " + given.label() + ", which has one way of asking and scoring",
                              .expected = "a task with replies"});
  std::vector<TaskData> tasks;
  const auto add = [&](Protocol protocol, std::optional<int64_t> shots) {
    TaskData data = load_task(asked_by(given, protocol, shots), key);
    if (std::none_of(tasks.begin(), tasks.end(),
                     [&](const TaskData& other) { return asks_alike(other, data); }))
      tasks.push_back(std::move(data));
  };
  for (const Protocol protocol : protocols) {
    add(protocol, given.shots);
    if (!given.shots && preset_of(given.task, protocol).shots > 0) add(protocol, 0);
  }
  return tasks;
}

std::string format_calibration(const std::vector<ScoreRow>& scores, const PublishedScore& published) {
  Grid grid{.titles = {"asked as", "scored as", "metric", "n", "score %", "95 % interval", "explains it"}};
  std::vector<std::string> explaining;
  for (const auto& row : scores) {
    const size_t at = std::min(row.task.find('@'), row.task.size());
    const std::string asked = row.task.substr(std::min(at + 1, row.task.size()));
    const bool inside = 100 * row.low <= published.percent + published.half_digit &&
                        100 * row.high >= published.percent - published.half_digit;
    if (inside) explaining.push_back(asked + " scored as " + row.protocol);
    grid.lines.push_back(
        {.cells = {asked, row.protocol, row.metric, fmt::format("{}", row.n),
                   fmt::format("{:.2f}", 100 * row.value),
                   fmt::format("[{:.2f}, {:.2f}]", 100 * row.low, 100 * row.high), inside ? "yes" : "no"}});
  }
  const std::string number = fmt::format("{:g} %", published.percent);
  return as_text(grid) + (explaining.empty() ? "none of them explains " + number + "\n"
                                             : fmt::format("{} of {} explain {}: {}\n", explaining.size(),
                                                           scores.size(), number, join(explaining, "; ")));
}

}  // namespace attnlab
