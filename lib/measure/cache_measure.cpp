#include "measure/cache_measure.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/errors.h"
#include "data/dataset.h"
#include "eval/task_run.h"
#include "measure/bench_device.h"
#include "measure/decode_step.h"
#include "model/decoding_batch.h"
#include "stats/intervals.h"

namespace attnlab {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kCountedBytes = 2;  // of a number as computed

Interval solved(const TaskResult& result) {
  int64_t correct = 0;
  for (const Score& score : result.judged.front()) correct += score.correct;
  return wilson_interval(correct, std::ssize(result.judged.front()));
}

// Over texts, all of which have as many targets.
Interval nats_per_token(const CacheStudy& study, const TaskModel& model,
                        const std::vector<ScoredSequence>& texts) {
  const LikelihoodOptions options{
      .batch_tokens = study.batch_size * study.text_tokens, .cache = model.cache, .precision = model.precision};
  std::vector<double> values;
  for (const auto& found : log_likelihoods(model.decoder, texts, options))
    values.push_back(-found.log_likelihood / static_cast<double>(study.text_scored));
  return mean_interval(values);
}

// What the tensors take behind the first text, over what is counted for its length. Numbers as computed have
// the model's width here.
double held_ratio(const TaskModel& model, const CacheConfig& config, const std::vector<ScoredSequence>& texts) {
  if (texts.empty()) return kNotMeasured;
  const auto& ids = texts.front().ids;
  const torch::NoGradGuard no_grad;
  const auto batch = make_batch(model.decoder, {ids}, 1, 512, model.cache);
  batch->prefill();
  const double counted =
      model.decoder.state_bytes(config, std::ssize(ids), model.decoder.output_weight().element_size());
  return static_cast<double>(batch->bytes()) / counted;
}

TaskData first_problems(TaskData task, int64_t count) {
  if (count == 0 || count >= task.size()) return task;
  const auto n = static_cast<size_t>(count);
  task.problems.resize(n);
  task.prompts.resize(n);
  task.context_bytes.resize(n);
  return task;
}

CacheRow row_of(const std::string& measure, const Interval& interval, int64_t n) {
  return {.n = n, .value = interval.value, .low = interval.low, .high = interval.high, .measure = measure};
}

}  // namespace

double cache_step_ms(const CacheStudy& study, const TaskModel& model) {
  if (study.time_steps == 0 || model.cache.pruning) return kNotMeasured;
  constexpr int64_t unmeasured = 3;
  DecodeStep step(model.decoder, 1, study.time_context, model.cache, study.time_steps + unmeasured);
  const auto once = [&] { step(); };
  times_of(model.decoder.device(), unmeasured, once);
  return median(times_of(model.decoder.device(), study.time_steps, once));
}

std::vector<TaskData> load_study_tasks(const CacheStudy& study) {
  std::vector<TaskData> tasks;
  for (const TaskConfig& config : study.tasks) {
    if (kind_of(config.task) != TaskKind::answer)
      throw InputError(BadInput{.key = "tasks." + config.label(),
                                .found = std::string(name_of(config.task)),
                                .expected = "a task whose replies are answers"});
    tasks.push_back(load_task(config, "tasks." + config.label()));
  }
  return tasks;
}

std::vector<ScoredSequence> study_texts(const CacheStudy& study, const TaskModel& model) {
  std::vector<ScoredSequence> texts;
  if (study.texts == 0) return texts;
  const auto data = open_dataset(study.text, Split::test);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < data->size() && std::ssize(texts) < study.texts; ++i) {
    const Example example = data->get(i);
    const auto more = model.tokenizer.encode(example.prompt + example.answer);
    if (ids.empty() && model.bos_id) ids.push_back(*model.bos_id);
    ids.insert(ids.end(), more.begin(), more.end());
    ids.push_back(model.eos_id);
    if (std::ssize(ids) < study.text_tokens) continue;
    ids.resize(static_cast<size_t>(study.text_tokens));
    texts.push_back({.ids = std::move(ids), .first = study.text_tokens - study.text_scored});
    ids.clear();
  }
  if (texts.empty())
    throw InputError(BadInput{.key = "text",
                              .found = "no text of text_tokens, " + std::to_string(study.text_tokens),
                              .expected = "more held-out examples, or texts: 0"});
  return texts;
}

std::vector<CacheRow> measure_cache(const CacheStudy& study, const TaskModel& model,
                                    const CacheSetting& setting, const std::vector<TaskData>& tasks,
                                    const std::vector<ScoredSequence>& texts,
                                    const std::function<void(const std::string&)>& tell) {
  std::vector<CacheRow> rows;
  for (const TaskData& task : tasks) {
    if (model.cache.behind_context && context_problem(task)) continue;
    tell(task.config.label());
    TaskLog log;
    const TaskResult result = run_task(model, first_problems(task, setting.problems), log, nullptr);
    rows.push_back(row_of(result.label, solved(result), result.data.size()));
  }
  if (!texts.empty() && !model.cache.behind_context) {
    tell("text");
    rows.push_back(row_of("log_perplexity", nats_per_token(study, model, texts), std::ssize(texts)));
  }
  tell("bytes and time");
  const auto bytes = [&](int64_t context) {
    return model.decoder.state_bytes(setting.config, context, kCountedBytes);
  };
  const double held = held_ratio(model, setting.config, texts), ms = cache_step_ms(study, model);
  for (CacheRow& row : rows) {
    row.study = study.study;
    row.share = setting.share;
    row.bytes_1k = bytes(1024), row.bytes_4k = bytes(4096), row.bytes_16k = bytes(16384);
    row.held_ratio = held;
    row.ms_per_token = ms;
    row.policy = name_of(setting.config.policy.policy);
    row.storage = setting.storage;
    row.behind = name_of(setting.config.policy.behind);
    row.settings = setting.text;
  }
  return rows;
}

}  // namespace attnlab
