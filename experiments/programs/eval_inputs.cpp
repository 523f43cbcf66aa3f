#include "eval_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cache_option.h"
#include "checkpoint/end_ids.h"
#include "config/document.h"
#include "core/files.h"
#include "eval/task_files.h"
#include "experiment/inputs/provenance.h"
#include "experiment/tasks/calibration.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "results/run_reader.h"
#include "text/chat.h"
#include "text/chat_template.h"
#include "torch_program.h"

namespace attnlab {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

void require_valid(const EvalOptions& o) {
  if (o.model.empty() == o.run.empty())
    throw InputError(std::string("--model DIR or --run FILE is needed, one of the two (see --help)"));
  require_given("--tasks", o.tasks, "names with commas between them: " + join(all_names<Task>()));
  if (!o.dry_run) require_given("--out", o.out, "the HDF5 file to write");
  require_valid_sampling(o);
  if (o.calibrate.empty()) return;
  parse_published("--calibrate", o.calibrate);
  if (o.tasks.find(',') != std::string::npos)
    throw InputError(BadInput{.file = "--calibrate", .found = "--tasks " + o.tasks, .expected = "one task"});
  if (!o.protocols.empty())
    throw InputError(
        BadInput{.file = "--calibrate", .found = "--protocol beside it", .expected = "all protocols"});
}

TaskConfig task_config(const EvalOptions& o, const std::string& name) {
  TaskConfig config = task_in_folder(parse_name<Task>("--tasks", name), o.data);
  // A protocol counts for the tasks that know it.
  for (const auto& protocol : o.protocols) {
    const auto wanted = parse_name<Protocol>("--protocol", protocol);
    for (const Protocol known : protocols_of(config.task))
      if (known == wanted) config.protocols.push_back(protocol);
  }
  if (!o.protocols.empty() && config.protocols.empty() && !protocols_of(config.task).empty())
    preset_of(config.task, parse_name<Protocol>("--protocol", o.protocols.front()));  // says which there are
  if (o.shots >= 0) config.shots = o.shots;
  if (!o.k.empty()) config.k = o.k;
  config.limit = o.limit;
  if (config.path.empty() && o.limit > 0) config.size = o.limit;  // generated: as many as are wanted
  config.samples = o.samples;
  config.temperature = o.temperature;
  config.top_p = o.top_p;
  config.seed = o.seed;
  config.max_new_tokens = o.max_new_tokens;
  return config;
}

// The weights that a run kept.
std::string model_folder(const EvalOptions& o) {
  if (o.run.empty()) return o.model;
  const auto folder = std::filesystem::path(o.run).replace_extension("model");
  read_run_header(o.run);  // refuses what is no run
  if (!std::filesystem::is_directory(folder))
    throw InputError(BadInput{.file = o.run,
                              .found = "no " + folder.string() + " beside it",
                              .expected = "a run with train.save_model: true, which keeps its weights there"});
  return folder.string();
}

// A prompt as its protocol words it, worked examples included, is the user's turn.
void make_user_turns(TaskData& data, ChatFormat format) {
  if (data.prompts.empty())
    throw InputError(BadInput{.file = "--chat",
                              .found = "task " + data.config.label(),
                              .expected = "tasks that are answered with a reply"});
  for (auto& prompt : data.prompts)
    prompt = format_chat(format, std::vector<ChatMessage>{{"user", prompt}}, /*generation_prompt=*/true);
}

// Tells of a model that was trained on conversations and is asked for completions.
void note_completions(const EvalOptions& o, const TaskEvaluation& evaluation, const std::string& folder,
                      const std::filesystem::path& tokenizer) {
  const bool asks = std::any_of(evaluation.tasks.begin(), evaluation.tasks.end(),
                                [](const TaskData& task) { return !task.prompts.empty(); });
  const std::string chat_template = asks && o.chat.empty() ? chat_template_beside(tokenizer) : "";
  if (chat_template.empty()) return;
  const auto formats = formats_like(chat_template);
  std::string names;
  for (const auto format : formats) names += (names.empty() ? " " : ", ") + std::string(name_of(format));
  if (formats.size() > 1) names = " (one of" + names + ")";
  print_notes({fmt::format(
      "{} has a chat template and is asked for completions; --chat{} asks it as a user does", folder, names)});
}

}  // namespace

void require_valid_sampling(const EvalOptions& o) {
  require_range("--limit", o.limit, 0);
  require_range("--samples", o.samples, 1);
  require_range("--seed", o.seed, 0);
  require_range("--max-new-tokens", o.max_new_tokens, 0);
  require_range("--batch", o.batch, 1);
  require_range("--workers", o.workers, 0, 1024);
  read_cache_option(o.cache, true);
  const auto refuse = [](const char* option, double found, const char* expected) {
    throw InputError(BadInput{.file = option, .found = fmt::format("{}", found), .expected = expected});
  };
  if (!(o.temperature >= 0)) refuse("--temperature", o.temperature, "0 (greedy) or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) refuse("--top-p", o.top_p, "more than 0, at most 1");
  if (!(o.seconds > 0 && o.seconds <= 3600)) refuse("--seconds", o.seconds, "more than 0, at most 3600");
}

void require_sandbox(const std::vector<TaskConfig>& tasks) {
  for (const auto& [task, reason] : tasks_left_out(tasks))
    throw InputError(BadInput{.file = "--tasks",
                              .found = task + ", whose replies are programs, and no sandbox: " + reason,
                              .expected = "a sandbox; programs are never run without one"});
}

TaskEvaluation read_evaluation_options(const EvalOptions& o) {
  require_valid(o);
  std::vector<TaskConfig> tasks;
  for (const auto& name : split(o.tasks)) tasks.push_back(task_config(o, name));
  require_valid_tasks(tasks, "--tasks");
  require_sandbox(tasks);
  TaskEvaluation evaluation{.sandbox = {.seconds = o.seconds, .workers = static_cast<int>(o.workers)}};
  for (size_t i = 0; i < tasks.size(); ++i) {
    const std::string key = fmt::format("--tasks.{}", i);
    if (o.calibrate.empty())
      evaluation.tasks.push_back(load_task(tasks[i], key));
    else
      evaluation.tasks = calibration_tasks(tasks[i], key);
  }
  if (!o.chat.empty())
    for (auto& task : evaluation.tasks) make_user_turns(task, parse_name<ChatFormat>("--chat", o.chat));
  if (read_cache_option(o.cache, true).policy.behind == ActsBehind::context)
    for (const TaskData& task : evaluation.tasks)
      if (auto problem = context_problem(task)) {
        problem->file = "--cache";
        throw InputError(*problem);
      }
  return evaluation;
}

std::string prompt_lines(const TaskEvaluation& evaluation) {
  std::string lines;
  for (const auto& task : evaluation.tasks)
    for (size_t i = 0; i < task.prompts.size(); ++i)
      lines +=
          nlohmann::ordered_json{
              {"task", task.config.label()}, {"id", task.problems.at(i).id}, {"prompt", task.prompts[i]}}
              .dump() +
          "\n";
  return lines;
}

EvalModel::EvalModel(const EvalOptions& o, TaskEvaluation& evaluation) {
  const auto device = parse_device(o.device);
  const std::string folder = model_folder(o);
  const auto checkpoint = Checkpoint::open(folder);
  const CacheConfig cache = read_cache_option(o.cache, true);
  if (!o.silent) note_idle_cache_keys(cache);
  require_cache_for(read_checkpoint_form(checkpoint), cache);
  const auto tokenizer_file = Tokenizer::file_of(o.tokenizer.empty() ? folder : o.tokenizer);
  tokenizer_ = Tokenizer::load(tokenizer_file);
  if (!o.silent) print_notes(tokenizer_->notes());
  if (!o.silent) note_completions(o, evaluation, folder, tokenizer_file);
  const auto dtype = parse_dtype(o.dtype);
  decoder_ = load_decoder(checkpoint, dtype, device);
  if (!o.silent) print_notes(checkpoint.notes());
  if (tokenizer_->vocab_size() > decoder_->config().vocab_size)
    throw InputError(
        BadInput{.file = "--tokenizer",
                 .found = fmt::format("{} tokens", tokenizer_->vocab_size()),
                 .expected = fmt::format("at most the model's {}", decoder_->config().vocab_size)});
  auto stops = end_ids(checkpoint);
  if (const auto eos = tokenizer_->eos_id()) stops.push_back(*eos);
  if (!o.chat.empty())
    for (const auto& token : stop_tokens(parse_name<ChatFormat>("--chat", o.chat)))
      if (const auto id = tokenizer_->token_id(token)) stops.push_back(*id);
  if (stops.empty())
    throw InputError(BadInput{
        .file = folder, .key = "eos_token_id", .found = "nothing", .expected = "a token that ends a text"});
  // Not what the tokenizer puts behind a text alone.
  const auto framed = tokenizer_->encode("a", true), plain = tokenizer_->encode("a");
  std::optional<int64_t> bos;
  if (!o.no_bos && framed.size() > plain.size() && (plain.empty() || framed.front() != plain.front()))
    bos = framed.front();
  model_.emplace(TaskModel{.decoder = *decoder_,
                           .tokenizer = *tokenizer_,
                           .bos_id = bos,
                           .prefix_id = bos.value_or(tokenizer_->bos_id().value_or(stops.front())),
                           .eos_id = stops.front(),
                           .stop_ids = stops,
                           .cache = cache_plan_for(cache, *decoder_),
                           .batch_rows = o.batch,
                           .record_steps = !o.no_graph,
                           .batch_invariant = o.batch_invariant});
  auto facts = machine_facts(device);
  facts.emplace_back("model", folder);
  const std::string weights = checkpoint.weights_sha256(), tokens = Tokenizer::sha256_of(tokenizer_file);
  facts.emplace_back("weights_sha256", weights);
  facts.emplace_back("tokenizer_sha256", tokens);
  facts.emplace_back("dtype", o.dtype);
  if (!o.chat.empty()) facts.emplace_back("chat", o.chat);
  facts.emplace_back("batch", o.batch);
  facts.emplace_back("batch_invariant", o.batch_invariant);
  for (auto& [key, value] : flatten(cache, "cache.")) facts.emplace_back(key, value);
  evaluation.provenance = facts;
  evaluation.identity = fmt::format("{} {} {} {} {}", weights, tokens, o.dtype, bos.value_or(-1),
                                    device.is_cuda() ? "cuda" : "cpu");
  if (o.batch_invariant) evaluation.identity += " batch_invariant";
  if (!o.cache.empty()) evaluation.identity += " " + to_yaml(flatten(cache));
}

}  // namespace attnlab
