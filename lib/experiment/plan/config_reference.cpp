#include "experiment/plan/config_reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/reference.h"
#include "experiment/plan/experiment_config.h"
#include "experiment/plan/plan.h"

namespace attnlab {
namespace {

using detail::in_ticks;
using detail::names_text;

constexpr const char* reference_introduction =
    R"(# exp.yaml: every key

Written by `scripts/write_references.sh` from the structs that read the keys (`run_ablation --help-config` prints
it); a test compares. [GUIDE.md](GUIDE.md) explains what belongs together, [quickstart/exp.yaml](quickstart/exp.yaml)
is an example.

Paths are relative to the current folder or, if nothing is there, to the config's (or to that of a file which it
includes). `base.path` may be a hub id that is in the hub's cache on this machine. A key that is left out has its
default; an unknown key is an error. Whole numbers may be grouped: `1_000_000`. `N` in a key stands for the items of
a list, from 0. `--set` takes the same keys, dotted, with values in YAML: `--set train.lr=1e-3`,
`--set 'seeds=[0, 1]'`, `--set arms.cut.options.rank=8` (arms and tasks by name or by number),
`--set 'sweep.train.lr=[1e-3, 2e-3]'`. A value that a sweep would override is refused, one without effect is told.
)";

// Keys that the plan reads, not a visitor.
KeyTable top_table() {
  const auto of_run = key_tables<RunConfig>("").front();
  KeyTable top;
  top.rows.push_back({"experiment", "text", "letters, digits, `_`, `-`, `.`", "the config's folder",
                      "name of the experiment, and of its folder below `results/`"});
  for (const auto& row : of_run.rows)
    if (row.name == "base" || row.name == "data" || row.name == "train" || row.name == "eval")
      top.rows.push_back({row.name, row.type, "", "", row.help + ", below"});
  top.rows.push_back({"arms", "list of maps", "", "required",
                      "variants under test; the first one is what the others "
                      "are compared with"});
  top.rows.push_back({"sweep", "map", "", "none",
                      "dotted keys of `base`, `data`, `train`, `eval` or `arms` to lists "
                      "of values; every combination is a sweep point, run for every arm"});
  top.rows.push_back(
      {"seeds", "list of whole numbers", "≥ 0", "`[0]`",
       "one run for each seed, arm and sweep point; the seed decides the order of the examples"});
  for (const auto& row : of_run.rows)
    if (row.name == "device") top.rows.push_back(row);
  top.rows.push_back({"log", "text or list of texts", names_text(all_names<RunLog>()), "none",
                      "what to write beside the results while runs go on. `tensorboard`: event files below "
                      "`tensorboard/` in the results' folder"});
  top.rows.push_back({"claims", "map", "", "none", "claims that are planned before the runs, below"});
  top.rows.push_back(
      {"include", "text or list of texts", "files, relative to this one", "none",
       "files of keys that lie below those of this file: maps are merged, all else is replaced by "
       "what comes later"});
  top.rows.push_back({"sizes", "map", "", "none",
                      "names of sizes to maps of dotted keys and what they are at that "
                      "size"});
  top.rows.push_back({"size", "text", "one of `sizes`", "none",
                      "the size to run: its keys are set before those of "
                      "`--set` (`--set size=small`)"});
  return top;
}

std::string key_section(const KeyTable& table, const std::string& title = "") {
  const std::string heading = title.empty() ? in_ticks(table.path) : title;
  const bool top = table.path.find('.') == std::string::npos || table.path == "arms.N";
  return fmt::format("\n{} {}\n\n{}", top ? "##" : "###", heading, to_markdown(table));
}

template <HasFields T>
std::string key_sections(const char* path) {
  std::string text;
  for (const auto& table : key_tables<T>(path)) text += key_section(table);
  return text;
}

// Without the options, which depend on the variant.
std::string arm_sections() {
  auto tables = key_tables<ArmConfig>("arms.N");
  tables.front().rows.push_back({"train", "map", "", "none", "overrides any key of `train` for this arm"});
  tables.front().rows.push_back(
      {"trainable", "as `train.trainable`", "", "none", "the same as `train: {trainable: …}`"});
  std::string text;
  for (auto& table : tables) {
    for (auto& row : table.rows)
      if (row.name == "variant") row.range = names_text(variant_names());
    text += key_section(table);
  }
  return text;
}

std::string variant_sections() {
  std::string text, without;
  for (const auto& name : variant_names()) {
    const auto tables = key_tables("arms.N.options", *variant_defaults(name));
    if (tables.front().rows.empty()) {
      without += fmt::format("\n`{}` has no options.\n", name);
    } else {
      for (const auto& table : tables)
        text += key_section(table, fmt::format("{} of {}", in_ticks(table.path), name));
    }
  }
  return without + text;
}

std::string rate_section() {
  return key_section(key_tables<RateRule>("train.lr").front(), "`train.lr` as a map") +
         "\nEach arm takes the rate that is best for it: [GUIDE.md](GUIDE.md#learning-rates).\n";
}

std::string protocol_names(Task task) {
  std::vector<std::string> names;
  for (const auto protocol : default_protocols(task)) names.emplace_back(name_of(protocol));
  std::string text = names_text(names);
  std::vector<std::string> others;
  for (const auto protocol : protocols_of(task))
    if (std::find(names.begin(), names.end(), name_of(protocol)) == names.end())
      others.emplace_back(name_of(protocol));
  return others.empty() ? text : text + "; " + names_text(others);
}

std::string protocol_section() {
  std::string text =
      "\n### `eval.tasks.N.protocols` by task\n\nBefore the semicolon the default. Tasks of multiple choice "
      "and "
      "perplexity have one way of scoring.\n\n| task | protocols |\n|---|---|\n";
  for (const auto& [name, task] : EnumNames<Task>::rows)
    if (!protocols_of(task).empty()) text += fmt::format("| {} | {} |\n", in_ticks(name), protocol_names(task));
  return text;
}

}  // namespace

std::string config_reference() {
  return reference_introduction + key_section(top_table(), "Top level") + key_sections<BaseConfig>("base") +
         key_sections<DataConfig>("data") + arm_sections() + variant_sections() +
         key_sections<TrainConfig>("train") + rate_section() + key_sections<EvalConfig>("eval") +
         protocol_section() + key_sections<ClaimsConfig>("claims");
}

}  // namespace attnlab
