#include "experiment/plan/plan_claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "compare/claims_config.h"
#include "compare/measured_spread.h"
#include "compare/measured_table.h"
#include "config/document.h"
#include "core/add_once.h"
#include "core/files.h"

namespace attnlab {
namespace {

bool asks_for(const Node& root, Control control) {
  const Node* add = find_path(root, "claims.add");
  if (!add || add->kind != Node::Kind::list) return false;  // reported when the claims are read
  return std::any_of(add->items.begin(), add->items.end(),
                     [&](const Node& item) { return item.text == name_of(control); });
}

// In one line of YAML, as if it stood where the control is asked for.
Node written(const Node& root, const std::string& yaml) {
  Node node = parse_yaml(yaml, root.file);
  const auto place = [&](auto&& self, Node& part) -> void {
    part.line = find_path(root, "claims.add")->line;
    for (auto& item : part.items) self(self, item);
    for (auto& entry : part.entries) self(self, entry.value);
  };
  place(place, node);
  return node;
}

bool is_base_form(const Node& arm) {
  const Node* variant = arm.find("variant");
  return variant && variant->text == "gqa" && !arm.find("layers");
}

void add_same_training(Node& root) {
  Node* arms = root.find("arms");
  if (!arms || arms->kind != Node::Kind::list) return;  // reported when the arms are read
  if (std::any_of(arms->items.begin(), arms->items.end(), is_base_form)) return;
  arms->items.push_back(written(root, "{name: gqa_control, variant: gqa}"));
}

void choose_rate_of(Node& root, Node& train, const std::vector<int64_t>& seeds) {
  Node& rate = train.entry("lr");
  double value = TrainConfig{}.lr;
  if (rate.kind == Node::Kind::scalar) detail::read_leaf(rate, "train.lr", Key{"lr", ""}.above(0), value);
  const bool plain = rate.kind == Node::Kind::scalar || rate.entries.empty();
  const int64_t last = *std::max_element(seeds.begin(), seeds.end());
  if (plain)
    rate = written(root, fmt::format("{{sweep: [{:.3g}, {:.3g}, {:.3g}], seeds: [{}, {}]}}", value / 3, value,
                                     3 * value, last + 100, last + 101));
}

void add_chosen_rate(Node& root, const std::vector<int64_t>& seeds) {
  if (const Node* swept = find_path(root, "sweep"); swept && swept->find("train.lr"))
    throw InputError(BadInput{.file = swept->find("train.lr")->file,
                              .line = swept->find("train.lr")->line,
                              .key = "sweep.train.lr",
                              .found = "a sweep beside claims.add: chosen_rate",
                              .expected = "one of the two: a sweep is judged at each of its rates"});
  choose_rate_of(root, root.entry("train"), seeds);
  for (auto& arm : root.find("arms")->items)
    if (Node* train = arm.find("train"); train && train->find("lr")) choose_rate_of(root, *train, seeds);
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string configs_text(const Plan& plan) {
  std::string text;
  for (const auto& run : plan.runs) {
    text += run.file.lexically_relative(plan.results).string() + "\n";
    for (const auto& [key, value] : flatten(run.config))
      if (key != "device" && key != "train.save_model" && !(run.rate_is_open && key == "train.lr"))
        text += key + ": " + to_text(value) + "\n";
  }
  return text;
}

// Why no run of the arm measures it; "" if one does.
std::string why_not_measured(const Plan& plan, const std::string& arm, const MetricName& name) {
  std::vector<std::string> labels{"training_loss", "heldout_loss", "accuracy"};
  for (const auto& run : plan.runs) {
    if (run.selects || run.config.arm.name != arm) continue;
    const EvalConfig& eval = run.config.eval;
    if (name.metric == Metric::heldout_loss)
      return eval.heldout_examples > 0 ? "" : "eval.heldout_examples is 0";
    if (name.metric == Metric::accuracy) return eval.problems > 0 ? "" : "eval.problems is 0";
    if (name.metric) return "";
    for (const auto& task : eval.tasks) {
      if (task.label() == name.task) return "";
      add_once(labels, task.label());
    }
  }
  return "no such task; " + one_of(labels, name.task);
}

void check_metrics(const Plan& plan, const ClaimsConfig& claims) {
  const Node& list = *find_path(plan.root, "claims.list");
  for (size_t i = 0; i < claims.list.size(); ++i) {
    const PlannedClaim& claim = claims.list[i];
    for (const auto& arm : {claim.arm, claim.against}) {
      const std::string why = why_not_measured(plan, arm, parse_metric(claim.metric));
      if (why.empty()) continue;
      const Node& at = *list.items[i].find("metric");
      throw InputError(BadInput{.file = at.file,
                                .line = at.line,
                                .key = detail::item_key(list.items[i], "claims.list", i) + ".metric",
                                .found = at.describe() + ": " + why,
                                .expected = "what the runs measure"});
    }
  }
}

bool is_below(const Setting& setting, const std::string& key) {
  return setting.path == key || setting.path.starts_with(key + ".");
}

std::string text_of(const Node& item, const char* key) {
  const Node* part = item.find(key);
  return part && part->kind == Node::Kind::scalar ? part->text : "";
}

std::vector<std::string> arms_written(const Node& root) {
  std::vector<std::string> names;
  if (const Node* arms = root.find("arms"))
    for (const auto& arm : arms->items) names.push_back(text_of(arm, "name"));
  return names;
}

// "" if nothing was taken away.
std::string what_was_taken(const Plan& plan, const Node& claim, const std::vector<std::string>& arms,
                           bool eval_was_set) {
  std::string why;
  for (const char* key : {"arm", "against"}) {
    const std::string arm = text_of(claim, key);
    const bool runs = std::any_of(plan.runs.begin(), plan.runs.end(),
                                  [&](const auto& run) { return run.config.arm.name == arm; });
    if (!runs) return has(arms, arm) ? "the plan has no arm " + arm : "";
    if (why.empty()) why = why_not_measured(plan, arm, parse_metric(text_of(claim, "metric")));
  }
  return eval_was_set && !why.empty() ? text_of(claim, "metric") + " is not measured" : "";
}

// The plan's metrics that a pattern of a claims file names.
std::vector<std::string> metrics_of(const Plan& plan, const std::string& patterns) {
  std::vector<std::string> metrics;
  for (const auto& pattern : split_patterns(patterns)) {
    if (parse_metric(pattern).metric) add_once(metrics, pattern);
    for (const auto& run : plan.runs)
      for (const auto& task : run.config.eval.tasks)
        if (fits_pattern(pattern, task.label())) add_once(metrics, task.label());
  }
  return metrics;
}

void add_test(const Plan& plan, const std::string& id, const RunsTest& test,
              const std::vector<std::string>& arms, std::vector<PlannedClaim>& list) {
  const auto expect = from_name<ClaimDirection>(name_of(test.expect));
  if (!test.matters || !expect || !fits_pattern(test.experiment, plan.experiment)) return;
  if (!has(arms, test.arm) || !has(arms, test.against)) return;
  for (const auto& metric : metrics_of(plan, test.metric)) {
    const MetricName name = parse_metric(metric);
    if (!why_not_measured(plan, test.arm, name).empty() || !why_not_measured(plan, test.against, name).empty())
      continue;
    list.push_back({.id = fmt::format("{}.{}", id, list.size() + 1),
                    .metric = metric,
                    .arm = test.arm,
                    .against = test.against,
                    .expect = *expect,
                    .matters = *test.matters,
                    .alpha = test.alpha,
                    .power = test.power});
  }
}

void add_file(const Plan& plan, const std::filesystem::path& file, const std::vector<std::string>& arms,
              std::vector<PlannedClaim>& list) {
  const size_t before = list.size();
  for (const auto& claim : read_claims(file))
    for (const auto& test : claim.tests)
      if (test.runs) add_test(plan, claim.id, *test.runs, arms, list);
  if (list.size() == before)
    throw InputError(
        BadInput{.file = file.string(),
                 .found = "no test of experiment " + plan.experiment + " with `matters`",
                 .expected = "runs: {experiment, arm, against, metric, expect, matters} of arms that it has"});
}

}  // namespace

void add_controls(Node& root, const std::vector<int64_t>& seeds) {
  if (asks_for(root, Control::untrained_base)) set_path(root, "eval.before", written(root, "true"));
  if (asks_for(root, Control::same_training)) add_same_training(root);
  if (asks_for(root, Control::chosen_rate)) add_chosen_rate(root, seeds);
}

void leave_out_claims(Plan& plan, const Node& written, const std::vector<Setting>& settings) {
  const auto any_below = [&](const char* key) {
    return std::any_of(settings.begin(), settings.end(), [&](const auto& one) { return is_below(one, key); });
  };
  Node* claims = plan.root.find("claims");
  Node* list = claims ? claims->find("list") : nullptr;
  if (!list || list->items.empty() || any_below("claims")) return;
  const auto arms = arms_written(written);
  std::erase_if(list->items, [&](const Node& claim) {
    const std::string why = what_was_taken(plan, claim, arms, any_below("eval"));
    if (!why.empty())
      plan.warnings.push_back(
          fmt::format("claim {} is left out: with what was set, {}", text_of(claim, "id"), why));
    return !why.empty();
  });
  if (list->items.empty()) *claims = Node{.kind = Node::Kind::null, .file = claims->file, .line = claims->line};
}

std::optional<SealedClaims> seal_claims(const Plan& plan, const std::vector<int64_t>& seeds,
                                        const std::filesystem::path& file) {
  const Node* node = plan.root.find("claims");
  const bool none =
      node && (node->kind == Node::Kind::null || (node->kind == Node::Kind::map && node->entries.empty()));
  if (none) node = nullptr;  // claims: {}
  if (!node && file.empty()) return std::nullopt;
  std::vector<std::string> arms;
  SealedClaims sealed{.experiment = plan.experiment, .seeds = seeds, .runs_sha256 = sha256(configs_text(plan))};
  for (const auto& run : plan.runs) {
    if (run.selects) continue;
    add_once(arms, run.config.arm.name);
    add_once(sealed.sweep_points, run.sweep_point);
  }
  if (node) {
    sealed.claims = read_planned_claims(*node, arms);
    check_metrics(plan, sealed.claims);
  }
  if (!file.empty()) add_file(plan, file, arms, sealed.claims.list);
  return sealed;
}

}  // namespace attnlab
