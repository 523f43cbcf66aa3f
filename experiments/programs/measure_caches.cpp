// measure_caches: models under many ways of keeping their caches, each model loaded once.
#include <fmt/format.h>

#include <algorithm>

#include "cache_option.h"
#include "config/document.h"
#include "config/node.h"
#include "config/reference.h"
#include "core/find_field.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "eval_inputs.h"
#include "measure/cache_measure.h"
#include "measure/cache_rows.h"
#include "measured_file.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "torch_program.h"

namespace {

using namespace attnlab;

struct Options {
  std::string config, out, dtype = "float32", device = "auto";
  std::vector<std::string> settings, models;
  bool dry_run = false, help_config = false, no_times = false, times = false;
};

CacheStudy read_study(const Options& o) {
  require_given("--config", o.config, "a file that names models, ways of keeping a cache, and tasks");
  Node root = parse_yaml_with_includes(o.config);
  for (const auto& text : o.settings) {
    const auto [path, value] = parse_setting("--set", text);
    set_path(root, path, value);
  }
  auto study = read_config<CacheStudy>(root);
  if (auto problem = study_problem(study)) {
    problem->file = o.config;
    throw InputError(*problem);
  }
  return study;
}

// Those of --model alone. Throws InputError.
void choose_models(const Options& o, CacheStudy& study) {
  std::vector<std::string> names;
  for (const StudiedModel& model : study.models) names.push_back(model.name);
  for (const auto& wanted : o.models) require_name("--model", wanted, names);
  if (!o.models.empty())
    std::erase_if(study.models, [&](const StudiedModel& model) {
      return std::find(o.models.begin(), o.models.end(), model.name) == o.models.end();
    });
}

// Of all models, before one is loaded. Throws InputError.
void require_possible(const CacheStudy& study) {
  for (const StudiedModel& model : study.models) {
    const auto form = read_checkpoint_form(Checkpoint::open(model.path));
    for (const auto& setting : settings_of(study, model))
      if (auto problem = cache_problem(form, read_cache_plan(setting.config))) {
        problem->file = model.name;
        problem->found += " (" + setting.text + ")";
        throw InputError(*problem);
      }
  }
}

void print_plan(const CacheStudy& study) {
  for (const StudiedModel& model : study.models) {
    const auto settings = settings_of(study, model);
    fmt::print("{}: {} ways of keeping the cache\n", model.name, settings.size());
    for (const auto& setting : settings)
      fmt::print("  {}\n", setting.text.empty() ? "as computed" : setting.text);
  }
}

// A model with what results say of it.
struct LoadedModel {
  TaskEvaluation evaluation;
  EvalModel loaded;
  TaskModel model;

  LoadedModel(const Options& o, const CacheStudy& study, const StudiedModel& studied)
      : loaded({.model = studied.path, .dtype = o.dtype, .device = o.device, .batch = study.batch_size},
               evaluation),
        model(loaded.model()) {}
};

// The second half of a study whose first was made with --no-times.
void time_model(const Options& o, const CacheStudy& study, const StudiedModel& studied, CacheFile& file) {
  std::optional<LoadedModel> loaded;
  for (const auto& setting : settings_of(study, studied)) {
    if (!file.lacks_time(studied, setting)) continue;
    if (interrupted()) throw Interrupted{};
    if (!loaded) loaded.emplace(o, study, studied);
    loaded->model.cache = cache_plan_for(setting.config, loaded->model.decoder);
    file.set_time(studied, setting, cache_step_ms(study, loaded->model));
  }
  if (loaded) file.add({});
}

void measure_model(const Options& o, const CacheStudy& study, const StudiedModel& studied,
                   const std::vector<TaskData>& tasks, ProgressLine& line, CacheFile& file) {
  const auto settings = settings_of(study, studied);
  if (std::all_of(settings.begin(), settings.end(), [&](const auto& s) { return file.has(studied, s); }))
    return;
  LoadedModel loaded(o, study, studied);
  TaskModel& model = loaded.model;
  if (const auto* sum = find_field<std::string>(loaded.evaluation.provenance, "weights_sha256"))
    file.set_weights(studied, *sum);
  const auto texts = study_texts(study, model);
  for (size_t i = 0; i < settings.size(); ++i) {
    if (file.has(studied, settings[i])) continue;
    model.cache = cache_plan_for(settings[i].config, model.decoder);
    auto rows = measure_cache(study, model, settings[i], tasks, texts, [&](const std::string& what) {
      if (interrupted()) throw Interrupted{};
      line.update(
          fmt::format("{}: {} of {}, {}: {}", studied.name, i + 1, settings.size(), settings[i].text, what));
    });
    for (CacheRow& row : rows) {
      row.arm = studied.name;
      row.dtype = o.dtype;
      row.device = model.decoder.device().is_cuda() ? "cuda" : "cpu";
    }
    fmt::print("{}", cache_line(rows));
    std::fflush(stdout);
    file.add(std::move(rows));
  }
}

void measure(const Options& o, int argc, char** argv) {
  if (o.help_config) {
    for (const auto& table : key_tables<CacheStudy>(""))
      fmt::print("## {}\n\n{}\n", table.path, to_markdown(table));
    return;
  }
  CacheStudy study = read_study(o);
  parse_dtype(o.dtype);
  const auto device = parse_device(o.device);
  if (!o.dry_run) require_measured_name(o.out);
  const CacheStudy whole = study;
  choose_models(o, study);
  const auto tasks = load_study_tasks(study);
  require_possible(study);
  if (o.dry_run) {
    print_plan(study);
    return;
  }
  CacheFile file(o.out, whole, o.dtype, measured_facts(argc, argv, device));
  catch_interrupts();
  ProgressLine line;
  for (const StudiedModel& model : study.models)
    if (o.times) {
      time_model(o, study, model, file);
    } else {
      if (o.no_times) study.time_steps = 0;
      measure_model(o, study, model, tasks, line, file);
    }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  TorchProgram program(
      {.name = "measure_caches",
       .usage = std::string("--config FILE --out NAME") + measurements_ending + " [options]",
       .about =
           "Asks models the problems of tasks, and measures the likelihood of text, under many ways of "
           "keeping\n"
           "the cache (policies at shares of the prompt, storages), with bytes at 1K, 4K and 16K tokens and "
           "the\n"
           "time of a step. Each model is loaded once. Rows are written as they are measured; started again\n"
           "after a kill, it goes on behind them.",
       .example =
           "measure_caches --config experiments/cache_methods/caches.yaml --out results/caches.measured.h5",
       .exits = "0 done, 1 failed while running, 2 bad input, 130 interrupted (the same command goes on)",
       .interrupted = "interrupted; the same command goes on from here"});
  program.option("config", o.config, "FILE", "models, sets of ways, tasks, text (required)")
      .option("set", o.settings, "KEY=VALUE", "another value of the file's; may be repeated")
      .option("model", o.models, "NAME", "these models of the file alone; may be repeated")
      .flag("no-times", o.no_times, "time no steps: others use the device")
      .flag("times", o.times, "time the steps that a call with --no-times left out, measure nothing else")
      .flag("help-config", o.help_config, "print the keys of such a file")
      .flag("dry-run", o.dry_run, "print the ways of each model, measure nothing")
      .option("out", o.out, "FILE", std::string("file to write, NAME") + measurements_ending + " (required)");
  add_compute_options(program, o.dtype, o.device);
  return program.run(argc, argv, [&] { measure(o, argc, argv); });
}
