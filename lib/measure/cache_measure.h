// One model under one way of keeping its cache: scores, likelihood, bytes, time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/likelihood.h"
#include "eval/task_data.h"
#include "eval/task_model.h"
#include "measure/cache_study.h"
#include "results/measurements.h"

namespace attnlab {

// The study's tasks and text as the models read them; texts depend on the tokenizer.
std::vector<TaskData> load_study_tasks(const CacheStudy& study);
// Rows of text_tokens ids cut out of the text's held-out examples, one behind the other, each begun by bos (if
// the model has one); at most `texts`. Throws InputError if there is not one.
std::vector<ScoredSequence> study_texts(const CacheStudy& study, const TaskModel& model);

// `model.cache` is the setting's. Rows have all columns but arm, dtype and device. Where it acts
// behind contexts, tasks without one and the text are left out. `tell` hears what is being measured and may
// throw to stop.
std::vector<CacheRow> measure_cache(const CacheStudy& study, const TaskModel& model,
                                    const CacheSetting& setting, const std::vector<TaskData>& tasks,
                                    const std::vector<ScoredSequence>& texts,
                                    const std::function<void(const std::string&)>& tell);

// Median of single steps of one sequence behind time_context random tokens; NaN where it can't be timed
// (LazyLLM's layers run the tokens that the text makes them run) or no step is to be.
double cache_step_ms(const CacheStudy& study, const TaskModel& model);

}  // namespace attnlab
