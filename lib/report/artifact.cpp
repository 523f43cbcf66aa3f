#include "report/artifact.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compare/grid.h"
#include "compare/planned_verdict.h"
#include "compare/rate_note.h"
#include "core/add_once.h"
#include "core/find_field.h"
#include "core/progress.h"

namespace attnlab {
namespace {

constexpr const char* ask_a_person = "**not in the run files: to be filled in**";

bool is_reported(const RunRecord& run) {
  return run.state == RunState::complete && !find_field(run.header.config, "purpose");
}

std::string text_of(const FlatFields& fields, const std::string& key) {
  const FieldValue* value = find_field(fields, key);
  if (!value) return "";
  const auto* text = std::get_if<std::string>(value);
  return text ? *text : to_text(*value);
}

// The values of a key over all runs, each once.
std::vector<std::string> all_of(const std::vector<RunRecord>& runs, const FlatFields RunHeader::*fields,
                                const std::string& key) {
  std::vector<std::string> values;
  for (const auto& run : runs)
    if (const std::string value = text_of(run.header.*fields, key); !value.empty()) add_once(values, value);
  return values;
}

std::string or_missing(const std::vector<std::string>& values) {
  return values.empty() ? ask_a_person : join(values, "; ");
}

std::string tier_table(const std::vector<ArtifactValue>& values, int64_t tier) {
  Grid grid{.titles = {"claim", "value", "figure", "expected", "tolerance", "seeds", "minutes", "command"},
            .columns = Columns::texts};
  for (const auto& value : values) {
    if (value.tier != tier) continue;
    std::string name = value.experiment + (value.sweep_point.empty() ? "" : " @ " + value.sweep_point) + ": " +
                       value.metric + " of " + value.arm;
    if (!value.against.empty()) name += " minus " + value.against;
    grid.lines.push_back({.cells = {value.claim.empty() ? "-" : value.claim, name, value.figure,
                                    fmt::format("{:+.4f} {}", value.value, value.unit),
                                    value.tolerance > 0 ? fmt::format("±{:.4f}", value.tolerance) : "not known",
                                    fmt::format("{}", value.seeds), fmt::format("{:.1f}", value.minutes),
                                    "`" + value.command + "`"}});
  }
  return grid.lines.empty() ? "No values.\n" : as_markdown(grid);
}

std::string planned_table(const std::vector<RunRecord>& runs) {
  const auto results = judge_planned(runs);
  if (results.empty()) return "The runs carry no plan: no claim was planned before its data.\n";
  return format_planned(results, TableStyle::markdown);
}

std::string claims_table(const std::vector<ClaimResult>& claims) {
  if (claims.empty()) return "";
  Grid grid{.titles = {"claim", "verdict", "why"}, .columns = Columns::texts};
  for (const auto& claim : claims)
    grid.lines.push_back({.cells = {claim.sentence, std::string(name_of(claim.verdict)), claim.why}});
  return "\n## Claims of papers\n\n" + as_markdown(grid);
}

std::string readme(const ArtifactInput& input, const std::vector<ArtifactValue>& values) {
  return "# Artifact\n\nWhat was claimed, which number it rests on, and how to get it again. `./check.sh "
         "RESULTS` compares "
         "results with the table and exits non-zero where a value is outside its tolerance (√2 times half of "
         "the "
         "95 % interval: the same experiment with other seeds ends up inside in 19 of 20 cases). Minutes are "
         "device "
         "time of the whole experiment, as measured.\n\n"
         "| file | holds |\n|---|---|\n| `expected.jsonl` | the table below, for machines |\n| "
         "`ENVIRONMENT.md` | "
         "versions, hashes, hardware, device hours |\n| `METHODS.md` | splits, exclusions, search, error bars, "
         "limitations |\n| `CHECKLIST.md` | answers to reproducibility checklists |\n| `configs/` | the "
         "resolved "
         "config of each arm |\n| `results/` | the run files, as archives that all programs read |\n\n"
         "## Planned claims\n\n" +
         planned_table(input.runs) + claims_table(input.claims) + "\n## Tier 1: minutes on a CPU\n\n" +
         tier_table(values, 1) + "\n## Tier 2: hours on a GPU\n\n" + tier_table(values, 2) +
         "\n## Tier 3: full\n\n" + tier_table(values, 3);
}

std::string environment(const std::vector<RunRecord>& runs) {
  std::string text = "# Environment\n\n| what | value |\n|---|---|\n";
  for (const char* key : {"revision", "device_name", "device", "cpu", "operating_system", "threads", "torch",
                          "eigen", "boost", "hdf5", "compiler", "weights_sha256", "tokenizer_sha256",
                          "data_sha256", "teacher_sha256", "claims_sha256"})
    if (const auto values = all_of(runs, &RunHeader::provenance, key); !values.empty())
      text += fmt::format("| {} | {} |\n", key, join(values, "; "));
  const DeviceTime time = device_time(runs);
  return text +
         fmt::format(
             "\n**Device time**: {} in {} runs, of it {} in {} failed and {} in {} unfinished ones; runs "
             "that chose learning rates are counted, and so are tasks.\n",
             format_duration(time.all()), time.runs, format_duration(time.failed), time.failed_runs,
             format_duration(time.running), time.unfinished_runs);
}

std::string exclusions(const std::vector<RunRecord>& runs) {
  std::string text;
  for (const auto& run : runs) {
    const std::string name =
        run.header.experiment + "/" + run.header.arm + fmt::format(" seed {}", run.header.seed);
    if (run.state == RunState::failed) text += fmt::format("- {}: failed: {}\n", name, run.message);
    if (run.state == RunState::running) text += fmt::format("- {}: not finished\n", name);
    if (!run.nonfinite.empty())
      text += fmt::format("- {}: {} steps were not finite\n", name, run.nonfinite.size());
  }
  return text.empty() ? "- none: every run that was begun is finished and reported\n" : text;
}

std::string search_text(const std::vector<RunRecord>& runs) {
  std::vector<std::string> lines;
  for (const auto& run : runs) {
    if (!is_reported(run)) continue;
    if (const std::string rule = rate_sentence(run.header.config); !rule.empty())
      add_once(lines, fmt::format("- {}/{}: learning rate {}", run.header.experiment, run.header.arm, rule));
    if (!run.header.sweep_point.empty())
      add_once(lines, fmt::format("- {}: swept, among others {}; every point is reported",
                                  run.header.experiment, run.header.sweep_point));
  }
  return lines.empty() ? "- nothing was searched: settings were fixed beforehand\n" : join(lines, "\n") + "\n";
}

// Planned claims that stayed open, and arms of which no difference was shown.
std::string open_questions(const std::vector<RunRecord>& runs) {
  std::string text;
  for (const auto& result : judge_planned(runs))
    if (result.word == ClaimWord::inconclusive)
      text += fmt::format("- planned claim {} is inconclusive: {}; needed: {}\n", result.claim.id, result.why,
                          result.needed);
  std::vector<std::string> experiments;
  for (const auto& run : runs) add_once(experiments, run.header.experiment);
  for (const auto& name : experiments) {
    std::vector<RunRecord> own;
    std::copy_if(runs.begin(), runs.end(), std::back_inserter(own),
                 [&](const RunRecord& run) { return run.header.experiment == name && is_reported(run); });
    if (own.empty()) continue;
    for (const auto& row : compare_arms(own).rows)
      for (const auto& [metric_name, metric] : EnumNames<Metric>::rows)
        if (!row.is_baseline && !std::isnan(row.difference(metric).difference.value) &&
            verdict_of(row.difference(metric).difference) == Verdict::no_difference_shown)
          text += fmt::format("- {}{}: {} of {}: no difference shown\n", name,
                              row.sweep_point.empty() ? "" : " @ " + row.sweep_point, metric_name, row.arm);
  }
  return text.empty() ? "- none\n" : text;
}

std::string methods(const std::vector<RunRecord>& runs) {
  const auto of_config = [&](const char* key) { return join(all_of(runs, &RunHeader::config, key), "; "); };
  std::string text = "# Methods\n\n## Splits\n\n";
  for (const char* key : {"data.kind", "data.path", "data.heldout_path", "data.size", "data.heldout_size",
                          "data.heldout_share", "data.seed", "eval.heldout_examples", "eval.problems"})
    if (const std::string value = of_config(key); !value.empty()) text += fmt::format("- {}: {}\n", key, value);
  text +=
      "- validation: held-out loss and accuracy are measured on held-out examples, which learning rates are "
      "chosen by; tasks are the test, and nothing is chosen by them\n\n## Exclusions\n\n" +
      exclusions(runs) + "\n## Search bounds and selection rule\n\n" + search_text(runs) +
      "\n## Error bars\n\n- losses: Student's t over seeds (what varies: the order of the training data), 95 "
      "%; "
      "differences are paired by seed\n- accuracies and tasks: two-way random effects over seeds and problems, "
      "with problems added at the ends; of one seed over problems alone\n- times: none\n\n## Limitations and "
      "inconclusive arms\n\n" +
      open_questions(runs) + "\n## Licences\n\n- code: MIT (LICENSE)\n- weights of the base: " + ask_a_person +
      "\n- data: " + std::string(ask_a_person) + "; generated kinds are the project's own\n";
  return text;
}

struct Question {
  const char *list, *question;
  std::string answer;
};

std::string checklist(const std::vector<RunRecord>& runs, const std::vector<ArtifactValue>& values) {
  const DeviceTime time = device_time(runs);
  const auto planned = judge_planned(runs);
  const auto before =
      std::count_if(planned.begin(), planned.end(), [](const auto& one) { return one.planned_before; });
  const std::string devices = or_missing(all_of(runs, &RunHeader::provenance, "device_name"));
  const std::vector<Question> questions{
      {"conference", "Do the claims reflect what was shown?",
       fmt::format("README.md tells each with its word; {} of {} planned before the data", before,
                   planned.size())},
      {"conference", "Are limitations discussed?", "METHODS.md, with inconclusive arms"},
      {"conference", "Are assumptions and proofs given?", ask_a_person},
      {"conference", "Is all information to reproduce the results disclosed?",
       "configs/, ENVIRONMENT.md; every run file repeats its run"},
      {"conference", "Is there open access to code and data?",
       "the code is MIT; data: " + std::string(ask_a_person)},
      {"conference", "Are all training and test details told?",
       "configs/, METHODS.md (splits, search, selection)"},
      {"conference", "Are error bars reported, and is it said what they are?", "METHODS.md, error bars"},
      {"conference", "How much compute did it take, failed runs included?",
       fmt::format("{} on {}, of it {} in failed runs", format_duration(time.all()), devices,
                   format_duration(time.failed))},
      {"conference", "Broader impact, safeguards, human subjects?", ask_a_person},
      {"conference", "Are licences of used assets named?", "METHODS.md; those of data and base by a person"},
      {"badge: available", "Is the artifact in an archive with an identifier?", ask_a_person},
      {"badge: functional", "Is it documented, consistent, complete, exercisable?",
       "README.md: a command and a value for each claim; check.sh"},
      {"badge: reproduced", "Can others get the values within the tolerances?",
       fmt::format(
           "{} values, {} of them with a tolerance; `check.sh` exits non-zero outside of it", values.size(),
           std::count_if(values.begin(), values.end(), [](const auto& v) { return v.tolerance > 0; }))}};
  Grid grid{.titles = {"list", "question", "answer"}, .columns = Columns::texts};
  for (const auto& one : questions) grid.lines.push_back({.cells = {one.list, one.question, one.answer}});
  return "# Checklist\n\nFilled from the run files; what they do not tell is said so.\n\n" + as_markdown(grid);
}

std::string file_name_of(const RunHeader& header) {
  std::string name =
      header.experiment + "-" + header.arm + (header.sweep_point.empty() ? "" : "-" + header.sweep_point);
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("._-").find(c) == std::string_view::npos)
      c = '_';
  return "configs/" + name + ".yaml";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> artifact_files(const ArtifactInput& input) {
  const auto values = artifact_values(input.runs, input.config_folder);
  std::vector<std::pair<std::string, std::string>> files{
      {"README.md", readme(input, values)},
      {"expected.jsonl", values_as_jsonl(values)},
      {"ENVIRONMENT.md", environment(input.runs)},
      {"METHODS.md", methods(input.runs)},
      {"CHECKLIST.md", checklist(input.runs, values)},
      {"check.sh",
       "#!/bin/sh\n# ./check.sh RESULTS...   from the checkout's root: exits non-zero where a value is outside "
       "its tolerance\n"
       "exec build/bin/make_artifact \"$@\" --check \"$(dirname \"$0\")/expected.jsonl\"\n"}};
  std::map<std::string, std::string> configs;
  for (const auto& run : input.runs)
    if (is_reported(run)) configs.emplace(file_name_of(run.header), run.header.resolved_yaml);
  files.insert(files.end(), configs.begin(), configs.end());
  return files;
}

}  // namespace attnlab
