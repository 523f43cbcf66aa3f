#include "experiment/rates/rate_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/document.h"

namespace attnlab {
namespace {

constexpr const char* rate_key = "train.lr";

[[noreturn]] void refuse_rule(const Node& at, const std::string& part, const std::string& found,
                              const std::string& expected) {
  throw InputError(BadInput{.file = at.file,
                            .line = at.line,
                            .key = std::string(rate_key) + "." + part,
                            .found = found,
                            .expected = expected});
}

const Node& part_of(const Node& rule, const char* name) {
  const Node* node = rule.find(name);
  return node ? *node : rule;
}

template <class T>
void check_list(const Node& rule, const char* name, const std::vector<T>& values, const char* of_what) {
  if (values.empty())
    refuse_rule(part_of(rule, name), name, "an empty list", fmt::format("at least one {}", of_what));
  for (const T& value : values)
    if (std::count(values.begin(), values.end(), value) > 1)
      refuse_rule(part_of(rule, name), name, fmt::format("{} twice", value),
                  fmt::format("each {} once", of_what));
}

const Node* rule_node(const Node& tree) {
  const Node* node = find_path(tree, rate_key);
  return node && node->kind == Node::Kind::map ? node : nullptr;
}

}  // namespace

std::optional<RateRule> read_rate_rule(const Node& tree, const std::vector<int64_t>& reported_seeds) {
  const Node* node = rule_node(tree);
  if (!node) return std::nullopt;
  const auto rule = read_config<RateRule>(*node, rate_key);
  check_list(*node, "sweep", rule.sweep, "learning rate");
  check_list(*node, "seeds", rule.seeds, "seed");
  for (const int64_t seed : rule.seeds)
    if (std::count(reported_seeds.begin(), reported_seeds.end(), seed) > 0)
      refuse_rule(part_of(*node, "seeds"), "seeds", fmt::format("{}, which is also in `seeds`", seed),
                  "seeds that are not reported");
  return rule;
}

Node with_plain_rate(Node tree) {
  const Node* node = rule_node(tree);
  if (!node) return tree;
  const Node* sweep = node->find("sweep");
  if (sweep && sweep->kind == Node::Kind::list && !sweep->items.empty()) {
    const Node first = sweep->items[0];
    set_path(tree, rate_key, first);
  }
  return tree;
}

PlannedRun selecting_run(PlannedRun run, double rate, size_t selection) {
  const std::string name = fmt::format("lr={}", rate);
  run.config.train.lr = rate;
  run.config.train.save_model = KeepWeights::no;
  run.config.eval.every = 0;
  run.config.eval.before = false;
  run.config.eval.problems = 0;
  run.config.purpose = "learning rate selection";
  run.file = run.file.parent_path() / "lr_selection" / name / fmt::format("select{}.h5", run.config.seed);
  run.sweep_point += (run.sweep_point.empty() ? "" : ",") + name;
  run.selection = selection;
  run.selects = true;
  return run;
}

void check_selectable(const Node& node, const RateRule& rule, const RunConfig& config) {
  if (rule.select_by == SelectBy::heldout_loss && config.eval.heldout_examples == 0)
    refuse_rule(part_of(node, "select_by"), "select_by", "heldout_loss, while eval.heldout_examples is 0",
                "training_loss, or held-out examples");
}

}  // namespace attnlab
