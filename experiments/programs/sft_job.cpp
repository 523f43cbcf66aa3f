#include "sft_job.h"

#include <algorithm>

#include "core/errors.h"
#include "eval/task_files.h"
#include "program.h"

namespace attnlab {
namespace {

TaskConfig sampled_task(const SftOptions& o) {
  const auto task = parse_name<Task>("--task", o.task);
  TaskConfig config =
      o.problems.empty() ? training_task_in_folder(task, o.eval.data) : TaskConfig{.task = task};
  if (!o.problems.empty()) config.path = o.problems;
  config.protocols = o.eval.protocols;
  if (o.eval.shots >= 0 || !o.chat.empty()) config.shots = std::max<int64_t>(o.eval.shots, 0);
  config.limit = o.eval.limit;
  if (config.path.empty() && o.eval.limit > 0) config.size = o.eval.limit;
  config.samples = o.eval.samples;
  config.temperature = o.eval.temperature;
  config.top_p = o.eval.top_p;
  config.seed = o.eval.seed;
  config.max_new_tokens = o.eval.max_new_tokens;
  return config;
}

// In a chat the problem is all that the teacher is told.
void ask_question_alone(TaskData& data, ChatFormat format) {
  for (size_t i = 0; i < data.problems.size(); ++i) {
    const std::vector<ChatMessage> messages{{"user", question_of(data, i)}};
    data.prompts[i] = format_chat(format, messages, /*generation_prompt=*/true);
  }
}

}  // namespace

SftJob read_sft_job(const SftOptions& o) {
  require_given("--model", o.eval.model, "the teacher's folder");
  require_given("--task", o.task, "one of " + join(all_names<Task>()));
  require_given("--out", o.eval.out, "the set to write, JSONL (.gz: compressed)");
  require_valid_sampling(o.eval);
  require_range("--cap", o.cap, 0);
  // Not in one aggregate: where its last members throw, GCC 13 destroys the first of a returned object twice.
  SftJob job;
  job.keep = parse_name<KeepReplies>("--keep", o.keep);
  job.form = parse_name<SftForm>("--form", o.form);
  if (!o.chat.empty()) job.chat = parse_name<ChatFormat>("--chat", o.chat);
  const TaskConfig config = sampled_task(o);
  if (const auto kind = kind_of(config.task); kind != TaskKind::answer && kind != TaskKind::code)
    throw InputError(
        BadInput{.file = "--task", .found = "'" + o.task + "'", .expected = "a task with replies or programs"});
  require_sandbox({config});
  job.data = load_task(config, "--task", Split::train);
  if (job.chat) ask_question_alone(job.data, *job.chat);
  return job;
}

}  // namespace attnlab
