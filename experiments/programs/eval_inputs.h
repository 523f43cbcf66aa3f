// What eval_model's command line names: a model and tasks.
#pragma once

#include <memory>
#include <optional>

#include "eval/task_model.h"
#include "experiment/tasks/task_evaluation.h"

namespace attnlab {

struct EvalOptions {
  std::string model, run, tokenizer, tasks, data, out, cache, chat, prompts_out, calibrate, dtype = "float32",
                                                                                            device = "auto";
  std::vector<std::string> protocols;
  std::vector<int64_t> k;
  int64_t limit = 0, shots = -1, samples = 1, seed = 0, max_new_tokens = 0, batch = 32, workers = 0;
  double temperature = 0, top_p = 1, seconds = 3;
  bool no_bos = false, batch_invariant = false, dry_run = false, no_graph = false;
  bool silent = false;  // another rank tells what there is to note
};

// The options of how replies are sampled and programs run. Throws InputError.
void require_valid_sampling(const EvalOptions& options);
// Throws InputError for a task whose replies are programs, where there is no sandbox.
void require_sandbox(const std::vector<TaskConfig>& tasks);

// Checks all options and reads the tasks, before any model is loaded. Throws InputError.
TaskEvaluation read_evaluation_options(const EvalOptions& options);

// The prompts as they are asked, JSONL of {"task", "id", "prompt"}.
std::string prompt_lines(const TaskEvaluation& evaluation);

// A model with its tokenizer, ready to be asked. `evaluation` gets its identity and provenance.
class EvalModel {
 public:
  EvalModel(const EvalOptions& options, TaskEvaluation& evaluation);
  const TaskModel& model() const { return *model_; }

 private:
  std::optional<Tokenizer> tokenizer_;
  std::shared_ptr<Decoder> decoder_;
  std::optional<TaskModel> model_;
};

}  // namespace attnlab
