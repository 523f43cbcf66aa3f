#include "experiment/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "config/document.h"
#include "core/names.h"
#include "experiment/plan/idle_keys.h"
#include "experiment/plan/plan_claims.h"
#include "experiment/plan/settings.h"
#include "experiment/plan/size.h"
#include "experiment/plan/sweep.h"
#include "experiment/rates/rate_plan.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string> top_keys{"experiment", "base", "data",  "arms",   "sweep",   "seeds", "train",
                                        "eval",       "size", "sizes", "device", "include", "log",   "claims"};

[[noreturn]] void refuse(const Node& at, const std::string& key, const std::string& found,
                         const std::string& expected, const std::string& nearest = "") {
  throw InputError(BadInput{at.file, at.line, key, found, expected, nearest});
}

// The size first, so that --set overrides what it sets. Returns what both set.
std::vector<Setting> apply_overrides(Node& root, const std::vector<std::string>& texts) {
  std::vector<Setting> of_sizes, others;
  for (const auto& text : texts) {
    auto [path, value] = parse_setting("--set", text);
    auto& list = path == "size" || path == "sizes" || path.starts_with("sizes.") ? of_sizes : others;
    list.push_back({std::move(path), std::move(value)});
  }
  for (const auto& setting : of_sizes) set_key(root, setting);
  auto settings = apply_size(root, top_keys);
  for (auto& setting : others) {
    set_key(root, setting);
    settings.push_back(std::move(setting));
  }
  return settings;
}

void check_top_keys(const Node& root) {
  if (root.kind != Node::Kind::map) refuse(root, "", root.describe(), "a map with the keys " + join(top_keys));
  for (const auto& [key, node] : root.entries)
    if (std::find(top_keys.begin(), top_keys.end(), key) == top_keys.end())
      refuse(node, key, "an unknown key", one_of(top_keys, key), nearest_name(key, top_keys));
  if (const Node* include = root.find("include"))  // a file's are read by now
    refuse(*include, "include", include->describe(), "this key in a file");
}

std::vector<int64_t> read_seeds(const Node& root) {
  const Node* node = root.find("seeds");
  if (!node) return {0};
  std::vector<int64_t> seeds;
  detail::read_value(*node, "seeds", Key{"seeds", ""}.at_least(0), seeds);
  if (seeds.empty()) refuse(*node, "seeds", "an empty list", "at least one seed");
  for (size_t i = 0; i < seeds.size(); ++i)
    if (std::count(seeds.begin(), seeds.end(), seeds[i]) > 1)
      refuse(*node, "seeds", fmt::format("{} twice", seeds[i]), "each seed once");
  return seeds;
}

// A scope or a log may be given alone, without a list around it.
void listify(Node& map, const char* key) {
  Node* node = map.find(key);
  if (!node || node->kind != Node::Kind::scalar) return;
  Node list{.kind = Node::Kind::list, .file = node->file, .line = node->line};
  list.items.push_back(*node);
  *node = std::move(list);
}

std::vector<RunLog> read_logs(Node& root) {
  std::vector<RunLog> logs;
  listify(root, "log");
  if (const Node* node = root.find("log")) detail::read_value(*node, "log", Key{"log", ""}, logs);
  return logs;
}

// `trainable` of an arm or of the root's or an arm's `train`.
void listify_scopes(Node& map) {
  listify(map, "trainable");
  if (Node* train = map.find("train")) listify(*train, "trainable");
}

const Node& read_arms(Node& root) {
  Node* arms = root.find("arms");
  if (!arms || arms->kind != Node::Kind::list || arms->items.empty())
    refuse(arms ? *arms : root, "arms", arms ? arms->describe() : "nothing", "a list of arms");
  listify_scopes(root);
  std::set<std::string> names;
  for (auto& arm : arms->items) {
    const Node* name = arm.find("name");
    if (!name) continue;  // reported when the arm is read
    if (name->text.empty() || name->text != as_file_name(name->text) || name->text[0] == '.')
      refuse(*name, "name", name->describe(), "letters, digits, '_', '-' and '.'");
    if (!names.insert(name->text).second)
      refuse(*name, "name", name->describe() + " twice", "each arm's name once");
    if (const Node* scopes = arm.find("trainable"); scopes && find_path(arm, "train.trainable"))
      refuse(*scopes, "arms." + name->text + ".trainable", scopes->describe() + " beside train.trainable",
             "one of the two");
    listify_scopes(arm);
  }
  return *arms;
}

// The tree with the sweep point set and the arm's overrides of `train` merged in. What a sweep says of `arms`
// comes before the merge, the rest after it: a swept train.lr stands above an arm's own.
Node tree_of_run(const Node& root, size_t arm_index, const SweepPoint& point) {
  Node tree = root;
  const auto set_values = [&](bool of_arms) {
    for (const auto& [key, value] : point.values)
      if (key.starts_with("arms.") == of_arms) set_path(tree, with_arm_number(tree, key), value);
  };
  set_values(true);
  Node arm = tree.find("arms")->items[arm_index];
  listify_scopes(arm);
  if (const Node* train = arm.find("train")) merge(tree.entry("train"), *train);
  if (const Node* scopes = arm.find("trainable")) tree.entry("train").entry("trainable") = *scopes;
  set_values(false);
  listify_scopes(tree);
  return tree;
}

class Planner {
 public:
  Planner(Plan& plan, std::vector<int64_t> seeds) : plan_(plan), seeds_(std::move(seeds)) {}

  void plan_all(size_t arms, std::vector<SweepPoint> points) {
    if (plan_.repeats) name_after(plan_.repeats->sweep_point, points);
    read_replaced(arms, points.front());
    for (const auto& point : points)
      for (size_t arm = 0; arm < arms; ++arm) plan_selection(arm, point);
    for (const int64_t seed : seeds_)
      for (const auto& point : points)
        for (size_t arm = 0; arm < arms; ++arm) plan_reported(arm, point, seed);
  }

 private:
  static void name_after(const std::string& repeated, std::vector<SweepPoint>& points) {
    for (auto& point : points)
      point.name = repeated + (repeated.empty() || point.name.empty() ? "" : ",") + point.name;
  }

  // Values that a sweep takes the place of are read, too.
  void read_replaced(size_t arms, const SweepPoint& point) const {
    for (size_t i = 0; i < point.values.size(); ++i) {
      if (!find_path(plan_.root, with_arm_number(plan_.root, point.values[i].first))) continue;
      SweepPoint others = point;
      others.values.erase(others.values.begin() + static_cast<std::ptrdiff_t>(i));
      for (size_t arm = 0; arm < arms; ++arm) plan_run(arm, others, seeds_.front());
    }
  }

  PlannedRun plan_run(size_t arm_index, const SweepPoint& point, int64_t seed) const {
    const Node tree = with_plain_rate(tree_of_run(plan_.root, arm_index, point));
    PlannedRun run{.config = read_run_config(tree, tree.find("arms")->items[arm_index],
                                             static_cast<int64_t>(arm_index), seed),
                   .arm_index = static_cast<int64_t>(arm_index),
                   .sweep_point = point.name};
    run.config.experiment = plan_.experiment;
    run.file = plan_.results / run.config.arm.name / point.name / fmt::format("seed{}.h5", seed);
    return run;
  }

  void plan_selection(size_t arm, const SweepPoint& point) {
    const Node tree = tree_of_run(plan_.root, arm, point);
    const auto rule = read_rate_rule(tree, seeds_);
    if (!rule) return;
    const size_t number = plan_.selections.size();
    chosen_by_[{arm, point.name}] = number;
    RateSelection selection{.rule = *rule};
    for (const double rate : rule->sweep)
      for (const int64_t seed : rule->seeds) {
        selection.runs.push_back(plan_.runs.size());
        plan_.runs.push_back(selecting_run(plan_run(arm, point, seed), rate, number));
      }
    check_selectable(*find_path(tree, "train.lr"), *rule, plan_.runs.back().config);
    plan_.selections.push_back(std::move(selection));
  }

  void plan_reported(size_t arm, const SweepPoint& point, int64_t seed) {
    PlannedRun run = plan_run(arm, point, seed);
    if (const auto found = chosen_by_.find({arm, point.name}); found != chosen_by_.end()) {
      run.selection = found->second;
      run.rate_is_open = true;
      run.config.lr_selection = plan_.selections[found->second].rule;
    }
    plan_.runs.push_back(std::move(run));
  }

  Plan& plan_;
  std::vector<int64_t> seeds_;
  std::map<std::pair<size_t, std::string>, size_t> chosen_by_;
};

std::string experiment_name(const Node& root, const fs::path& config) {
  const Node* node = root.find("experiment");
  const std::string name =
      node ? node->text : fs::absolute(config).lexically_normal().parent_path().filename().string();
  if (name.empty() || name != as_file_name(name) || name[0] == '.')
    refuse(node ? *node : root, "experiment", "'" + name + "'", "a name of letters, digits, '_', '-' and '.'");
  return name;
}

}  // namespace

Plan make_plan(const PlanOptions& options) {
  Plan plan{.config_file = options.config};
  plan.repeats = read_repeated_run(options.config);
  if (plan.repeats) {
    plan.root = plan.repeats->config;
    plan.files = {options.config};
  } else {
    plan.root = parse_yaml_with_includes(options.config, plan.files);
  }
  check_top_keys(plan.root);
  const Node written = plan.root;
  const auto settings = apply_overrides(plan.root, options.overrides);
  check_top_keys(plan.root);
  plan.experiment = experiment_name(plan.root, options.config);
  plan.results = options.results.empty()
                     ? fs::path("results") / (plan.experiment + (plan.repeats ? "_repeat" : ""))
                     : fs::path(options.results);
  const auto seeds = read_seeds(plan.root);
  plan.log = read_logs(plan.root);
  add_controls(plan.root, seeds);
  const auto points = sweep_points(plan.root);
  refuse_overridden(plan.root, settings);
  const size_t arms = read_arms(plan.root).items.size();
  Planner(plan, seeds).plan_all(arms, points);
  plan.warnings = idle_keys(plan);
  leave_out_claims(plan, written, settings);
  plan.claims = seal_claims(plan, seeds, options.claims);
  return plan;
}

fs::path resolve_path(const Plan& plan, const std::string& path) {
  if (fs::path(path).is_absolute() || fs::exists(path)) return path;
  for (const auto& file : plan.files)
    if (const fs::path beside = file.parent_path() / path; fs::exists(beside)) return beside;
  return path;
}

fs::path existing_path(const Plan& plan, const std::string& path, const std::string& key) {
  const fs::path found = resolve_path(plan, path);
  std::error_code error;
  if (fs::exists(found, error)) return found;
  std::vector<std::string> beside;
  for (const auto& entry : fs::directory_iterator(found.has_parent_path() ? found.parent_path() : ".", error))
    beside.push_back(entry.path().filename().string());
  const std::string nearest = nearest_name(found.filename().string(), beside);
  throw InputError(
      BadInput{.key = key,
               .found = "'" + path + "': no such file or folder",
               .expected = "one that is there",
               .nearest = nearest.empty() ? "" : (fs::path(path).parent_path() / nearest).string()});
}

}  // namespace attnlab
