// Scores replies that any model wrote before, under a named protocol.
#include <algorithm>
#include <iostream>
#include <optional>
#include <set>

#include "core/files.h"
#include "core/interrupt.h"
#include "program.h"
#include "sandbox/sandbox.h"
#include "stored_responses.h"
#include "tasks/responses.h"

namespace {

using namespace attnlab;

struct Options {
  std::string task, protocol, data, in, run, out;
  int64_t limit = 0, workers = 0;
  double seconds = 3;
};

struct Job {
  const Preset* preset = nullptr;
  TaskKind kind = TaskKind::answer;
  std::vector<Problem> problems;
  Responses responses;
};

Responses responses_of(const Options& o, const std::vector<Problem>& problems) {
  if (!o.run.empty()) return stored_responses(evaluation_of(o.run), o.task, problems);
  if (o.in.ends_with(".h5")) return stored_responses(o.in, o.task, problems);
  return read_responses(o.in, problems);
}

// Reads and checks everything, before anything is run or written.
Job validate(const Options& o) {
  require_given("--task", o.task, "one of " + join(all_names<Task>()));
  const auto task = parse_name<Task>("--task", o.task);
  require_given("--protocol", o.protocol, "one of " + join(all_names<Protocol>()));
  Job job{.preset = &preset_of(task, parse_name<Protocol>("--protocol", o.protocol)), .kind = kind_of(task)};
  require_given("--data", o.data, "the task's problems");
  if (o.in.empty() == o.run.empty())
    throw InputError(std::string("--in FILE or --run FILE is needed, one of the two (see --help)"));
  require_given("--out", o.out, "the file to write");
  require_range("--limit", o.limit, 0);
  require_range("--workers", o.workers, 0, 1024);
  if (!(o.seconds > 0 && o.seconds <= 3600))
    throw InputError(BadInput{
        .file = "--seconds", .found = std::to_string(o.seconds), .expected = "more than 0, at most 3600"});
  job.problems = read_problems(task, o.data);
  job.responses = responses_of(o, job.problems);
  if (o.limit > 0 && o.limit < std::ssize(job.responses.replies)) {
    job.responses.replies.resize(static_cast<size_t>(o.limit));
    job.responses.ids.resize(static_cast<size_t>(o.limit));
  }
  return job;
}

// A share of the replies says little of a task that was answered in part.
void note_unanswered(const Options& o, const Job& job) {
  if (o.limit > 0) return;
  std::set<size_t> answered;
  for (const Reply& reply : job.responses.replies) answered.insert(reply.problem);
  int64_t asked = 0, missing = 0;
  for (size_t i = 0; i < job.problems.size(); ++i) {
    if (!is_test_problem(*from_name<Task>(o.task), job.problems[i])) continue;
    ++asked;
    missing += !answered.contains(i);
  }
  if (missing > 0)
    print_notes({std::to_string(missing) + " of " + std::to_string(asked) + " problems in " + o.data +
                 " have no reply"});
}

void run(const Options& o) {
  const Job job = validate(o);
  note_unanswered(o, job);
  std::optional<Sandbox> sandbox;
  if (job.kind == TaskKind::code)
    sandbox.emplace(SandboxOptions{.seconds = o.seconds, .workers = static_cast<int>(o.workers)});
  catch_interrupts();
  const auto scores =
      score(*job.preset, job.problems, job.responses.replies, sandbox ? &*sandbox : nullptr, [](int64_t) {
        if (interrupted()) throw Interrupted{};
      });
  write_file_atomic(o.out, score_lines(job.responses, scores));
  const auto correct = std::count_if(scores.begin(), scores.end(), [](const Score& s) { return s.correct; });
  std::cout << correct << " of " << scores.size() << " replies are right (" << o.task << ", " << o.protocol
            << "), in " << o.out << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "score_outputs",
       .usage = "--task NAME --protocol NAME --data FILE --in FILE --out FILE [options]",
       .about =
           "Scores replies, JSONL of {\"id\", \"response\"}, {\"task_id\", \"completion\"} or {\"task_id\",\n"
           "\"solution\"} (a whole program): the id is the problem's task_id, or its index in the data file "
           "from\n"
           "0. Writes {\"id\", \"extracted\", \"correct\", \"result\"} for each, in order.\n"
           "Programs run in the sandbox only; where there is none, tasks with programs are refused.",
       .example = "score_outputs --task gsm8k --protocol lm_eval_strict --data test.jsonl --in responses.jsonl "
                  "--out scores.jsonl",
       .interrupted = "interrupted; nothing was written"});
  program.option("task", o.task, "NAME", "gsm8k, gsm8k_cot, math, humaneval, mbpp, … (required)")
      .option("protocol", o.protocol, "NAME",
              "how replies are read; a wrong one lists those of the task (required)")
      .option("data", o.data, "FILE", "the task's problems, as published (required)")
      .option("in", o.in, "FILE", "replies: JSONL, or the .h5 that eval_model wrote")
      .option("run", o.run, "FILE", "instead: a run's seed<k>.h5 with eval.tasks, its last replies")
      .option("out", o.out, "FILE", "file to write (required)")
      .option("limit", o.limit, "N", "score the first N replies only; 0: all")
      .option("seconds", o.seconds, "S", "time that a program has")
      .option("workers", o.workers, "N", "programs at a time; 0: one a core");
  return program.run(argc, argv, [&] { run(o); });
}
