// A task's problems as the model will see them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"
#include "data/split.h"
#include "eval/task_config.h"
#include "tasks/choice_item.h"
#include "tasks/score.h"

namespace attnlab {

// What of these is filled follows from the task's kind.
struct TaskData {
  TaskConfig config;
  std::vector<Problem> problems;     // answer, code
  std::vector<std::string> prompts;  // one a problem, worked examples included
  // Of each prompt, the bytes before its question: of worked examples and of the problem's context. 0: it is
  // one.
  std::vector<size_t> context_bytes;
  std::vector<Protocol> protocols;
  std::vector<ChoiceItem> items;   // choice
  std::vector<std::string> texts;  // perplexity: documents
  std::string sha256;              // of the files, or of the generated problems

  TaskKind kind() const { return kind_of(config.task); }
  // Problems, items or documents.
  int64_t size() const;
  int64_t max_new_tokens() const;
};

// Why a cache can't act behind the contexts of its prompts: they have none. Key: the task's label.
std::optional<BadInput> context_problem(const TaskData& data);

// Reads (or generates) what `config` names. `asked`: test, or train, for data that a teacher makes: then worked
// examples that come from the training file are its first ones, which are not asked. Throws InputError: with
// the file's name and line, or with `key`.member ("eval.tasks.0.path").
TaskData load_task(const TaskConfig& config, const std::string& key, Split asked = Split::test);

}  // namespace attnlab
