#include "eval/task_data.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/gzip.h"
#include "core/json.h"
#include "core/jsonl.h"
#include "data/code_functions.h"
#include "data/retrieval.h"
#include "data/word_problems.h"
#include "tasks/choice_readers.h"
#include "tasks/prompts.h"

namespace attnlab {
namespace {

int64_t difficulty_of(const TaskConfig& config, int64_t index) {
  return config.difficulty_min + index % (config.difficulty_max - config.difficulty_min + 1);
}

// Answers end with "#### N"; data kinds have the tasks' names.
Problem retrieval_problem(const TaskConfig& config, Split split, int64_t index) {
  const auto kind = *from_name<DataKind>(name_of(config.task));
  const auto made = retrieval(kind, static_cast<uint64_t>(config.seed), split, index,
                              difficulty_of(config, index), config.words);
  const std::string mark = "#### ";
  return {.id = std::to_string(index),
          .question = made.question,
          .context = made.context,
          .answer = made.answer,
          .gold = made.answer.substr(made.answer.find(mark) + mark.size())};
}

Problem generated_problem(const TaskConfig& config, Split split, int64_t index) {
  if (is_retrieval(config.task)) return retrieval_problem(config, split, index);
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

// Where worked examples come from; `asked`: the training problems, where those are asked.
std::vector<Problem> pool_of(const TaskConfig& config, const Preset& preset, const std::string& key,
                             const std::vector<Problem>* asked) {
  const int64_t wanted = config.shots.value_or(preset.shots);
  const bool from_file =
      preset.shot_source == ShotSource::train || preset.shot_source == ShotSource::first_mbpp;
  if (!from_file || wanted == 0) return {};
  if (asked && preset.shot_source == ShotSource::train) return *asked;
  if (!config.shots_path.empty()) return read_problems(config.task, config.shots_path);
  if (config.path.empty()) return generated_problems(config, Split::train, std::max<int64_t>(wanted, 100));
  if (preset.shot_source == ShotSource::first_mbpp) return read_problems(config.task, config.path);
  throw InputError(BadInput{
      .key = key + ".shots_path",
      .found = "nothing",
      .expected = "the file that " + std::to_string(wanted) + " worked examples come from (or shots: 0)"});
}

std::vector<Problem> problems_of(const TaskConfig& config, Split asked) {
  if (config.path.empty()) return generated_problems(config, asked, config.size);
  const bool training = asked == Split::train;
  std::vector<Problem> problems;
  for (auto& problem : read_problems(config.task, config.path))
    if (training ? is_training_problem(config.task, problem) : is_test_problem(config.task, problem))
      problems.push_back(std::move(problem));
  if (problems.empty())
    throw InputError(
        BadInput{.file = config.path,
                 .found = training ? "no problem of the training split" : "no problem of the test split",
                 .expected = "at least one"});
  return problems;
}

// Of training problems the first ones are the worked examples of all others.
void make_training_prompts(TaskData& data, const Preset& asks, const std::string& key) {
  const auto pool = pool_of(data.config, asks, key, &data.problems);
  data.prompts =
      make_prompts(asks, data.problems, pool, {.count = data.config.shots, .sampling = ShotSampling::first});
  const auto shown = std::min(std::ssize(data.problems), data.config.shots.value_or(asks.shots));
  if (asks.shot_source != ShotSource::train || shown == 0) return;
  data.problems.erase(data.problems.begin(), data.problems.begin() + shown);
  data.prompts.erase(data.prompts.begin(), data.prompts.begin() + shown);
}

// The problem stands at the prompt's end, behind the worked examples; its own context is a part of it.
std::vector<size_t> context_bytes_of(const Preset& asks, const std::vector<Problem>& problems,
                                     const std::vector<std::string>& prompts) {
  std::vector<size_t> bytes;
  for (size_t i = 0; i < problems.size(); ++i) {
    const std::string asked = asks.question(problems[i]);
    const std::string& context = problems[i].context;
    bytes.push_back(prompts[i].size() - asked.size() +
                    (context.empty() ? 0 : asked.find(context) + context.size()));
  }
  return bytes;
}

void load_problems(TaskData& data, const std::string& key, Split asked) {
  const TaskConfig& config = data.config;
  data.problems = problems_of(config, asked);
  for (const auto& name : config.protocols) data.protocols.push_back(*from_name<Protocol>(name));
  if (data.protocols.empty()) data.protocols = default_protocols(config.task);
  const Preset& asks = preset_of(config.task, data.protocols.front());
  // Before the cut: which examples a problem gets must not depend on how many are asked.
  if (asked == Split::train)
    make_training_prompts(data, asks, key);
  else
    data.prompts =
        make_prompts(asks, data.problems, pool_of(config, asks, key, nullptr), {.count = config.shots});
  cut_to(data.problems, config.limit);
  cut_to(data.prompts, config.limit);
  data.context_bytes = context_bytes_of(asks, data.problems, data.prompts);
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

std::optional<BadInput> context_problem(const TaskData& data) {
  const auto& bytes = data.context_bytes;
  if (!bytes.empty() && std::find(bytes.begin(), bytes.end(), size_t{0}) == bytes.end()) return std::nullopt;
  return BadInput{.key = data.config.label(),
                  .found = "prompts that are one, under a cache with behind: context",
                  .expected =
                      "a task with a context before its question (passkey, key_values, variable_trace, "
                      "worked examples), or behind: prompt"};
}

TaskData load_task(const TaskConfig& config, const std::string& key, Split asked) {
  require_valid(config, key);
  TaskData data{.config = config};
  switch (data.kind()) {
    case TaskKind::answer:
    case TaskKind::code:
      load_problems(data, key, asked);
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
