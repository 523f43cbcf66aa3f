#include "eval/task_config.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const std::string& key, const char* member, const std::string& found,
                         const std::string& expected, const std::string& nearest = "") {
  throw InputError(
      BadInput{.key = key + "." + member, .found = found, .expected = expected, .nearest = nearest});
}

void require_protocols(const TaskConfig& config, const std::string& key) {
  const auto known = protocols_of(config.task);
  std::vector<std::string> names;
  for (const Protocol protocol : known) names.emplace_back(name_of(protocol));
  for (const auto& name : config.protocols) {
    if (names.empty())
      refuse(key, "protocols", "'" + name + "'",
             std::string(name_of(config.task)) + " has one way of scoring: leave it out");
    if (std::find(names.begin(), names.end(), name) == names.end())
      refuse(key, "protocols", "'" + name + "'",
             "for " + std::string(name_of(config.task)) + " " + one_of(names, name), nearest_name(name, names));
  }
}

}  // namespace

std::vector<Protocol> default_protocols(Task task) {
  switch (task) {
    case Task::gsm8k:
    case Task::gsm8k_cot:
    case Task::gsm8k_cot_zeroshot:
    case Task::word_problems:
      return {Protocol::lm_eval_strict, Protocol::lm_eval_flexible};
    case Task::math:
    case Task::humaneval:
    case Task::mbpp:
    case Task::code_functions:
      return {Protocol::lm_eval};
    case Task::passkey:
    case Task::key_values:
    case Task::variable_trace:
      return {Protocol::numbers};
    default:
      return {};
  }
}

std::string why_idle(const TaskConfig& config, const std::string& key) {
  const std::string task(name_of(config.task));
  const bool of_generated =
      key == "difficulty_min" || key == "difficulty_max" || key == "size" || key == "words";
  if (of_generated && !is_generated(config.task)) return task + " is read from a file";
  if (of_generated && !config.path.empty()) return "path has the problems";
  if (key == "words" && !is_retrieval(config.task)) return task + " has no context of so many words";
  if (key == "top_p" && config.temperature == 0) return "at temperature 0 the likeliest token is taken";
  return "";
}

void require_valid(const TaskConfig& config, const std::string& key) {
  require_protocols(config, key);
  if (config.path.empty() && !is_generated(config.task))
    refuse(key, "path", "nothing", "the file with the problems of " + std::string(name_of(config.task)));
  for (const int64_t k : config.k)
    if (k < 1 || k > config.samples)
      refuse(key, "k", std::to_string(k), "1 to samples, " + std::to_string(config.samples));
  if (config.samples > 1 && config.temperature == 0)
    refuse(key, "temperature", "0", "more than 0 with samples above 1: greedy replies are all the same");
  if (config.difficulty_min > config.difficulty_max)
    refuse(key, "difficulty_min", std::to_string(config.difficulty_min),
           "at most difficulty_max, " + std::to_string(config.difficulty_max));
}

}  // namespace attnlab
