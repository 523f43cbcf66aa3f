// generate_sft: a training set of what a teacher answered rightly.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/gzip.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "sft_job.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

void add_stops(TaskModel& model, const SftJob& job) {
  if (!job.chat) return;
  for (const auto& token : stop_tokens(*job.chat))
    if (const auto id = model.tokenizer.token_id(token)) model.stop_ids.push_back(*id);
}

nlohmann::ordered_json provenance_of(const SftOptions& o, const SftJob& job, const TaskEvaluation& evaluation,
                                     const KeptReplies& kept, const std::string& lines) {
  nlohmann::ordered_json out;
  const auto put = [&](const std::string& key, const FieldValue& value) {
    std::visit([&](const auto& plain) { out[key] = plain; }, value);
  };
  for (const auto& [key, value] : evaluation.provenance) put(key, value);
  for (const auto& [key, value] : flatten(job.data.config)) put("task." + key, value);
  out["protocol"] = name_of(job.data.protocols.front());
  out["chat"] = o.chat;
  out["keep"] = o.keep;
  out["cap"] = o.cap;
  out["problems"] = job.data.size();
  out["problems_sha256"] = job.data.sha256;
  out["problems_with_a_kept_reply"] = kept.problems;
  out["replies"] = kept.asked;
  out["right"] = kept.right;
  out["empty"] = kept.empty;
  out["doubles"] = kept.doubles;
  out["over_cap"] = kept.over_cap;
  out["kept"] = kept.replies.size();
  out["lines_sha256"] = sha256(lines);
  return out;
}

void generate(const SftOptions& o) {
  const SftJob job = read_sft_job(o);
  catch_interrupts();
  TaskEvaluation evaluation{
      .tasks = {job.data}, .sandbox = {.seconds = o.eval.seconds, .workers = static_cast<int>(o.eval.workers)}};
  const EvalModel model(o.eval, evaluation);
  TaskModel teacher = model.model();
  add_stops(teacher, job);
  ProgressLine line;
  const auto sandbox = sandbox_for(evaluation);
  TaskLog log = open_log(evaluation, o.eval.out);
  const auto result = run_task(teacher, job.data, log, sandbox.get(), [&](const TaskProgress& now) {
    if (interrupted()) throw Interrupted{};
    line.update(fmt::format("{}: {} of {} {}", now.label, now.done, now.total, now.what),
                now.done == now.total);
  });
  const KeptReplies kept = keep_replies(job.data, result.replies, result.judged.front(), job.keep, o.cap);
  if (kept.replies.empty())
    throw RunError(fmt::format("of {} replies none is kept: nothing is written ({} keeps them)", kept.asked,
                               log_of(o.eval.out).string()));
  const std::string lines = sft_lines(kept, job.form);
  write_file_atomic(o.eval.out + ".provenance.json",
                    provenance_of(o, job, evaluation, kept, lines).dump(1) + "\n");
  write_file_atomic(o.eval.out, o.eval.out.ends_with(".gz") ? gzipped(lines) : lines);
  log.remove();
  fmt::print("{} of {} replies are right, {} kept of {} of {} problems ({} doubles, {} over the cap), in {}\n",
             kept.right, kept.asked, kept.replies.size(), kept.problems, job.data.size(), kept.doubles,
             kept.over_cap, o.eval.out);
}

}  // namespace

int main(int argc, char** argv) {
  SftOptions o;
  o.eval.samples = 4;
  o.eval.temperature = 0.8;
  TorchProgram program(
      {.name = "generate_sft",
       .usage = "--model DIR --task NAME --out FILE.jsonl.gz [options]",
       .about =
           "Asks a teacher the training problems of a task, several times each, and keeps what the task's "
           "scorer\n"
           "or the sandbox finds right: a training set for data kinds chat_jsonl and instruction_jsonl. Where "
           "it\n"
           "comes from, and how much was kept, stands in FILE.provenance.json. Started again after a kill, it\n"
           "goes on at the next reply (FILE.partial.jsonl).",
       .example = "generate_sft --model data/base_small --task word_problems --limit 200 --shots 0 --samples 4 "
                  "--max-new-tokens 96 --out /tmp/kept.jsonl.gz",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted (the same command goes on)",
       .interrupted = "interrupted; the same command goes on from here"});
  program.option("model", o.eval.model, "DIR", "the teacher's folder (required)")
      .option("task", o.task, "NAME", "what is asked; generated tasks need no data (required)")
      .option("data", o.eval.data, "DIR", "folder that scripts/fetch_data.sh filled, for its training problems")
      .option("problems", o.problems, "FILE", "instead: training problems in the task's form")
      .option("protocol", o.eval.protocols, "NAME",
              "how replies are asked for and judged (default: the task's)")
      .option("chat", o.chat, "NAME", "ask in this chat format, without worked examples")
      .option("shots", o.eval.shots, "N", "worked examples before a problem; -1: the protocol's own number")
      .option("limit", o.eval.limit, "N", "the first N problems; 0: all")
      .option("samples", o.eval.samples, "K", "replies to each problem")
      .option("temperature", o.eval.temperature, "T", "0: the likeliest token always")
      .option("top-p", o.eval.top_p, "P", "sample from the fewest tokens with this share")
      .option("seed", o.eval.seed, "N", "of sampling and of generated tasks")
      .option("max-new-tokens", o.eval.max_new_tokens, "N", "longest reply; 0: the protocol's own")
      .option("keep", o.keep, "RULE", "correct: what is right; all")
      .option("cap", o.cap, "N", "most replies that are kept of a problem; 0: any number")
      .option("form", o.form, "FORM", "chat or instruction")
      .option("batch", o.eval.batch, "N", "sequences that are generated at a time")
      .option("seconds", o.eval.seconds, "S", "time that a program has")
      .option("workers", o.eval.workers, "N", "programs at a time; 0: one a core")
      .flag("no-bos", o.eval.no_bos, "do not put the tokenizer's first token before prompts (as lm_eval)")
      .option("out", o.eval.out, "FILE", "the set to write (required)");
  add_compute_options(program, o.eval.dtype, o.eval.device);
  return program.run(argc, argv, [&] { generate(o); });
}
