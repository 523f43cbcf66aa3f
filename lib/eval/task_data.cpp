#include "eval/task_data.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/gzip.h"
#include "core/json.h"
#include "core/jsonl.h"
#include "data/code_functions.h"
#include "data/word_problems.h"
#include "tasks/choice_readers.h"
#include "tasks/prompts.h"

namespace attnlab {
namespace {

constexpr Split kAsked = Split::test;

int64_t difficulty_of(const TaskConfig& config, int64_t index) {
  return config.difficulty_min + index % (config.difficulty_max - config.difficulty_min + 1);
}

Problem generated_problem(const TaskConfig& config, Split split, int64_t index) {
  const auto seed = static_cast<uint64_t>(config.seed);
  Problem problem{.id = std::to_string(index)};
  if (config.task == Task::word_problems) {
    const auto made = word_problem(seed, split, index, difficulty_of(config, index));
    problem.question = made.question;
    problem.answer = made.answer;
    problem.gold = std::to_string(made.gold);
    return problem;
  }
  const auto made = code_function(seed, split, index, difficulty_of(config, index));
  problem.id = made.task_id;
  problem.question = made.text;
  problem.prompt = made.prompt;
  problem.code = made.body;
  problem.assertions = made.test_list;
  problem.tests = join(made.test_list, "\n");
  problem.entry_point = made.entry_point;
  return problem;
}

std::vector<Problem> generated_problems(const TaskConfig& config, Split split, int64_t count) {
  std::vector<Problem> problems;
  for (int64_t i = 0; i < count; ++i) problems.push_back(generated_problem(config, split, i));
  return problems;
}

template <class T>
void cut_to(std::vector<T>& list, int64_t limit) {
  if (limit > 0 && limit < std::ssize(list)) list.resize(static_cast<size_t>(limit));
}

std::vector<Problem> pool_of(const TaskConfig& config, const Preset& preset, const std::string& key) {
  const int64_t wanted = config.shots.value_or(preset.shots);
  const bool from_file =
      preset.shot_source == ShotSource::train || preset.shot_source == ShotSource::first_mbpp;
  if (!from_file || wanted == 0) return {};
  if (!config.shots_path.empty()) return read_problems(config.task, config.shots_path);
  if (config.path.empty()) return generated_problems(config, Split::train, std::max<int64_t>(wanted, 100));
  if (preset.shot_source == ShotSource::first_mbpp) return read_problems(config.task, config.path);
  throw InputError(BadInput{
      .key = key + ".shots_path",
      .found = "nothing",
      .expected = "the file that " + std::to_string(wanted) + " worked examples come from (or shots: 0)"});
}

void load_problems(TaskData& data, const std::string& key) {
  const TaskConfig& config = data.config;
  if (config.path.empty()) {
    data.problems = generated_problems(config, kAsked, config.size);
  } else {
    for (auto& problem : read_problems(config.task, config.path))
      if (is_test_problem(config.task, problem)) data.problems.push_back(std::move(problem));
    if (data.problems.empty())
      throw InputError(
          BadInput{.file = config.path, .found = "no problem of the test split", .expected = "at least one"});
  }
  for (const auto& name : config.protocols) data.protocols.push_back(*from_name<Protocol>(name));
  if (data.protocols.empty()) data.protocols = default_protocols(config.task);
  const Preset& asks = preset_of(config.task, data.protocols.front());
  // Before the cut: which examples a problem gets must not depend on how many are asked.
  data.prompts = make_prompts(asks, data.problems, pool_of(config, asks, key), {.count = config.shots});
  cut_to(data.problems, config.limit);
  cut_to(data.prompts, config.limit);
}

std::vector<std::string> read_texts(const std::string& path) {
  if (!has_text_extension(path, ".jsonl") && !has_text_extension(path, ".json")) {
    const std::string bytes = read_text_file(path);
    return {std::string(without_byte_order_mark(bytes, path))};
  }
  std::vector<std::string> texts;
  for_each_record(path, [&](const Record& record) { texts.push_back(document_of(record)); });
  return texts;
}

std::string hash_of(const TaskData& data) {
  return data.config.path.empty() ? sha256(join(data.prompts, "\n")) : sha256_file(data.config.path);
}

}  // namespace

int64_t TaskData::size() const { return static_cast<int64_t>(problems.size() + items.size() + texts.size()); }

int64_t TaskData::max_new_tokens() const {
  if (config.max_new_tokens > 0) return config.max_new_tokens;
  int64_t most = 0;
  for (const Protocol protocol : protocols)
    most = std::max(most, preset_of(config.task, protocol).max_new_tokens);
  return most;
}

TaskData load_task(const TaskConfig& config, const std::string& key) {
  require_valid(config, key);
  TaskData data{.config = config};
  switch (data.kind()) {
    case TaskKind::answer:
    case TaskKind::code:
      load_problems(data, key);
      break;
    case TaskKind::choice: {
      const int64_t shots = config.shots.value_or(0);
      const std::string& pool = config.shots_path.empty() ? config.path : config.shots_path;
      auto items = with_shots(read_choices(config.task, config.path),
                              shots > 0 ? read_choices(config.task, pool) : std::vector<ChoiceItem>{}, shots);
      cut_to(items, config.limit);
      data.items = std::move(items);
      break;
    }
    case TaskKind::perplexity:
      data.texts = read_texts(config.path);
      cut_to(data.texts, config.limit);
      break;
  }
  data.sha256 = hash_of(data);
  return data;
}

}  // namespace attnlab
