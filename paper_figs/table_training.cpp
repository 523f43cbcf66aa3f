// Table 3: how the arms were trained.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/rate_note.h"
#include "core/find_field.h"
#include "core/progress.h"
#include "tables.h"

namespace attnlab {
namespace {

// A row: its name, and what a run says of it; a key of the config, or more.
struct Setting {
  const char* name;
  std::string (*text)(const RunRecord& run);
};

template <size_t length>
struct KeyName {
  constexpr KeyName(const char (&text)[length]) { std::copy_n(text, length, value); }
  char value[length];
};
template <KeyName key>
std::string config(const RunRecord& run) {
  return text_of(run.header.config, key.value);
}

// "word_problems (0.4), gsm8k (0.6)": kinds with their weights where several are mixed.
std::string data_kinds(const RunRecord& run) {
  const FlatFields& fields = run.header.config;
  std::string mixed;
  for (size_t i = 0;; ++i) {
    const std::string source = fmt::format("data.mixture[{}].", i);
    if (!find_field(fields, source + "kind")) break;
    mixed += fmt::format("{}{} ({:g})", i > 0 ? ", " : "", text_of(fields, source + "kind"),
                         number_of(fields, source + "weight"));
  }
  return mixed.empty() ? text_of(fields, "data.kind") : mixed;
}

std::string tokens_per_step(const RunRecord& run) {
  const FlatFields& fields = run.header.config;
  return fmt::format("{:.0f}", number_of(fields, "train.batch_size") *
                                   number_of(fields, "train.micro_batches") *
                                   number_of(fields, "train.sequence_length"));
}

std::string tokens_trained(const RunRecord& run) {
  return run.train.empty() ? "-" : format_count(static_cast<double>(run.train.back().tokens));
}

std::string schedule(const RunRecord& run) {
  const std::string kind = text_of(run.header.config, "train.schedule");
  return kind == "constant" ? kind : kind + " to " + text_of(run.header.config, "train.final_lr_share");
}

std::string betas(const RunRecord& run) {
  return text_of(run.header.config, "train.beta1") + ", " + text_of(run.header.config, "train.beta2");
}

std::string rate_chosen(const RunRecord& run) {
  return rate_sentence(run.header.config).empty() ? "no" : "yes";
}

std::string time_taken(const RunRecord& run) {
  return run.train.empty() ? "-" : format_duration(run.train.back().seconds);
}

const std::vector<Setting> settings{
    {"model", [](const RunRecord& run) { return model_name(run.header); }},
    {"attention", [](const RunRecord& run) { return run.header.variant; }},
    {"cached numbers per token",
     [](const RunRecord& run) { return fmt::format("{}", run.header.cached_numbers_per_token); }},
    {"parameters",
     [](const RunRecord& run) { return format_count(static_cast<double>(run.header.parameters_total)); }},
    {"trained parameters",
     [](const RunRecord& run) { return format_count(static_cast<double>(run.header.parameters_trainable)); }},
    {"what is trained", config<"train.trainable">},
    {"data", data_kinds},
    {"tokens trained", tokens_trained},
    {"steps", config<"train.steps">},
    {"places per step (with padding)", tokens_per_step},
    {"sequence length", config<"train.sequence_length">},
    {"highest learning rate", config<"train.lr">},
    {"rate chosen on other seeds", rate_chosen},
    {"schedule, last share of the rate", schedule},
    {"warm-up steps", config<"train.warmup_steps">},
    {"optimizer", [](const RunRecord&) { return std::string("AdamW"); }},
    {"beta1, beta2", betas},
    {"weight decay", config<"train.weight_decay">},
    {"longest gradient", config<"train.clip_norm">},
    {"precision", config<"train.precision">},
    {"device", [](const RunRecord& run) { return text_of(run.header.provenance, "device_name"); }},
    {"training time", time_taken}};

Table table_of(const RunSet& runs, size_t point) {
  const auto cells = runs.cells_at(point);
  Grid grid{.titles = {"setting"}};
  for (const RunCell* cell : cells) grid.titles.push_back(runs.arms[cell->arm]);
  for (const Setting& setting : settings) {
    Line line{.cells = {setting.name}};
    for (const RunCell* cell : cells) line.cells.push_back(setting.text(*cell->runs.front()));
    grid.lines.push_back(std::move(line));
  }
  const std::string where = runs.points[point].empty() ? "" : ", " + runs.points[point];
  return {
      .name = file_name("table_3", runs, point),
      .caption = "Training settings" + (runs.experiment.empty() ? "" : " of " + runs.experiment) + where,
      .grid = std::move(grid),
      .notes = {"Of each arm's first seed; " + count_seeds(cells) + ".",
                "The paper trains SmolLM-1.7B and LLaMA-2-7B on 300 million to 6 billion tokens of text; for "
                "these models and data there are no columns here."}};
}

}  // namespace

Figure table_3(const RunSet& runs) {
  Figure figure{.missing = "no runs"};
  for (size_t point = 0; point < runs.points.size(); ++point)
    if (!runs.cells_at(point).empty()) figure.tables.push_back(table_of(runs, point));
  return figure;
}

}  // namespace attnlab
