// eval_model: what a checkpoint, or a run's model, scores on tasks.
#include <fmt/format.h>

#include <chrono>

#include "cache_option.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "eval_inputs.h"
#include "experiment/tasks/calibration.h"
#include "experiment/tasks/task_scores.h"
#include "ranks_program.h"
#include "text/chat.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

// Remaining time from the speed of this call alone: what was known before took no time.
class Progress {
 public:
  explicit Progress(World& world) : world_(world) {}
  void operator()(const TaskProgress& now) {
    if (interrupted()) throw Interrupted{};
    world_.progress();
    if (!world_.is_first()) return;
    if (now.label != label_ || now.what != what_) {
      label_ = now.label;
      what_ = now.what;
      first_ = now.done;
      start_ = Clock::now();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const auto done = static_cast<double>(now.done - first_);
    const double left = done > 0 ? seconds / done * static_cast<double>(now.total - now.done) : 0;
    line_.update(fmt::format("{}: {} of {} {}, {:.1f}/s, ETA {}", now.label, now.done, now.total, now.what,
                             seconds > 0 ? done / seconds : 0.0, done > 0 ? format_duration(left) : "?"),
                 now.done == now.total);
  }

 private:
  using Clock = std::chrono::steady_clock;
  World& world_;
  ProgressLine line_;
  std::string label_, what_;
  int64_t first_ = 0;
  Clock::time_point start_;
};

void evaluate(EvalOptions o, World& world) {
  TaskEvaluation evaluation = read_evaluation_options(o);
  world.first_does([&] {
    if (!o.prompts_out.empty()) write_file_atomic(o.prompts_out, prompt_lines(evaluation));
  });
  if (o.dry_run) {
    if (world.is_first()) fmt::print("{}", describe_tasks(evaluation.tasks));
    return;
  }
  catch_interrupts();
  o.silent = !world.is_first();
  const EvalModel model(o, evaluation);
  if (!world.is_alone()) {
    std::string asked = evaluation.identity;
    for (const auto& task : evaluation.tasks) asked += "\n" + task.sha256;
    world.require_same("model, tasks and options (SHA-256)", sha256(asked));
  }
  Progress progress(world);
  const auto record = evaluate_tasks(model.model(), evaluation, o.out, std::ref(progress), world);
  if (!world.is_first()) return;
  if (o.calibrate.empty())
    fmt::print("{}", format_scores(record.scores, record.tasks));
  else
    fmt::print("{}", format_calibration(record.scores, parse_published("--calibrate", o.calibrate)));
}

}  // namespace

int main(int argc, char** argv) {
  EvalOptions o;
  TorchProgram program(
      {.name = "eval_model",
       .usage = "--model DIR --tasks A,B --out FILE.h5 [options]",
       .about = "Asks a model the problems of tasks and scores its replies as public harnesses do. Replies and "
                "scores\n"
                "go to FILE.h5. Started again after a kill, it goes on at the next problem "
                "(FILE.h5.partial.jsonl).\n"
                "Programs that a model writes run in the sandbox only.",
       .example = "eval_model --model data/base_small --tasks word_problems,code_functions --limit 8 "
                  "--max-new-tokens 96 --shots 0 --out /tmp/base_small.h5",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted (the same command goes on)",
       .interrupted = "interrupted; the same command goes on from here"});
  program.option("model", o.model, "DIR", "the model's folder: Hugging Face's layout or the project's own")
      .option("run", o.run, "FILE", "instead of --model: a run's seed<k>.h5 (with train.save_model)")
      .option("tasks", o.tasks, "A,B", "what is asked; generated tasks need no data (required)")
      .option("data", o.data, "DIR", "folder that scripts/fetch_data.sh filled")
      .option("protocol", o.protocols, "NAME", "how replies are scored; may be repeated, the first one asks")
      .option("shots", o.shots, "N", "worked examples before a problem; -1: the protocol's own number")
      .option("limit", o.limit, "N", "the first N problems of each task; 0: all")
      .option("samples", o.samples, "N", "replies to each problem")
      .option("k", o.k, "K", "the k of pass@k; may be repeated (default: 1)")
      .option("temperature", o.temperature, "T", "0: the likeliest token always")
      .option("top-p", o.top_p, "P", "sample from the fewest tokens with this share")
      .option("seed", o.seed, "N", "of sampling and of generated tasks")
      .option("max-new-tokens", o.max_new_tokens, "N", "longest reply; 0: the protocol's own")
      .option("batch", o.batch, "N", "sequences that are generated at a time")
      .flag("batch-invariant", o.batch_invariant,
            "one problem at a time, token by token: replies depend on nothing else, bit for bit")
      .option("seconds", o.seconds, "S", "time that a program has")
      .option("workers", o.workers, "N", "programs at a time; 0: one a core")
      .option(
          "calibrate", o.calibrate, "PERCENT",
          "ask in every way that the task's protocols ask, score under all, and say which explain this number")
      .flag("no-bos", o.no_bos, "do not put the tokenizer's first token before prompts (as lm_eval)")
      .option("chat", o.chat, "FORMAT",
              "prompts are a user's turn in this chat format: " + join(all_names<ChatFormat>()))
      .option("prompts-out", o.prompts_out, "FILE",
              "write the prompts here, JSONL of {task, id, prompt}, first")
      .flag("no-graph", o.no_graph, "on a GPU: launch each kernel of a step by itself")
      .flag("dry-run", o.dry_run, "print the tasks and the smallest difference that they can show, ask nothing")
      .option("tokenizer", o.tokenizer, "PATH", "tokenizer file or folder (default: the model's)")
      .option("out", o.out, "FILE", "HDF5 file to write (required)");
  add_cache_option(program, o.cache);
  add_compute_options(program, o.dtype, o.device);
  int64_t ranks = 0;
  add_ranks_option(program, ranks);
  return program.run(argc, argv, [&] {
    return in_world("eval_model", ranks, argv, [&](World& world) {
      evaluate(o, world);
      return 0;
    });
  });
}
