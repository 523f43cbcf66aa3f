#include "experiment/plan/experiment_config.h"

#include <fmt/format.h>

#include <cmath>

#include "config/document.h"
#include "model/model_form.h"

namespace attnlab {
namespace {

template <class T>
T read_section(const Node& root, const char* key) {
  const Node* node = root.find(key);
  return node ? read_config<T>(*node, key) : T{};
}

// The defaults of the variant that a map names, so that its own options are read.
void choose_options(const Node& node, const std::string& prefix, VariantConfig& options) {
  const Node* variant = node.find("variant");
  if (!variant || variant->kind == Node::Kind::null) return;
  const auto defaults = variant_defaults(variant->text);
  if (!defaults) detail::wrong_name(*variant, prefix + ".variant", variant_names());
  options = *defaults;
  const Node* given = node.find("options");
  if (variant_has_options(options) || !given || given->entries.empty()) return;
  const auto& [key, value] = given->entries.front();
  throw InputError(BadInput{.file = value.file,
                            .line = value.line,
                            .key = prefix + ".options." + key,
                            .found = "an option",
                            .expected = "none: " + variant->text + " has no options"});
}

ArmConfig read_arm(const Node& node, const std::string& prefix) {
  ArmConfig arm;
  detail::read_struct(node, prefix, arm, {"train", "trainable"});
  if (arm.variant.empty() && arm.layers.empty())
    detail::missing_key(node, prefix + ".variant", Key{"variant", "attention variant"});
  const Node* numbers = node.find("cached_numbers");
  if (arm.cache && arm.cached_numbers)
    throw InputError(BadInput{.file = numbers->file,
                              .line = numbers->line,
                              .key = prefix + ".cached_numbers",
                              .found = numbers->describe() + " beside cache",
                              .expected = "one of the two"});
  return arm;
}

// Where a cache is to act behind contexts, all that is asked must have one.
std::optional<BadInput> context_problem(const RunConfig& config) {
  if (config.eval.cache.policy.behind != ActsBehind::context) return std::nullopt;
  std::vector<DataKind> kinds{config.data.kind};
  for (const MixturePart& part : config.data.mixture) kinds.push_back(part.source.kind);
  if (!config.data.mixture.empty()) kinds.erase(kinds.begin());
  const bool data = config.eval.problems == 0 ||
                    std::all_of(kinds.begin(), kinds.end(), [](DataKind kind) { return is_retrieval(kind); });
  const auto& tasks = config.eval.tasks;
  if (data && std::all_of(tasks.begin(), tasks.end(), [](const TaskConfig& task) {
        return is_retrieval(task.task) ||
               (kind_of(task.task) == TaskKind::answer && task.shots.value_or(0) > 0);
      }))
    return std::nullopt;
  return BadInput{.key = "eval.cache.behind",
                  .found = "context",
                  .expected =
                      "prompt, or data (with eval.problems) and eval.tasks of kind passkey, key_values or "
                      "variable_trace, or tasks with shots: others don't say where a context ends"};
}

// Shares that follow losses need parts, and a loss to reach for each.
std::optional<BadInput> domains_problem(const RunConfig& config) {
  if (!config.train.domains) return std::nullopt;
  const size_t parts = config.data.mixture.size();
  if (parts == 0)
    return BadInput{.key = "train.domains",
                    .found = "shares of a mixture's parts, and data of one part",
                    .expected = "data.mixture, or nothing"};
  const auto& references = config.train.domains->reference_losses;
  if (references.size() != parts)
    return BadInput{.key = "train.domains.reference_losses",
                    .found = fmt::format("{} numbers", references.size()),
                    .expected = fmt::format("{}: one for each part of data.mixture", parts)};
  for (const double loss : references)
    if (!(loss >= 0) || !std::isfinite(loss))
      return BadInput{.key = "train.domains.reference_losses",
                      .found = fmt::format("{}", loss),
                      .expected = "losses from 0"};
  return std::nullopt;
}

}  // namespace

void LayerRange::choose_fields(const Node& node, const std::string& prefix, LayerRange& value) {
  choose_options(node, prefix, value.options);
  const Node* of = node.find("of");
  if (of && of->kind == Node::Kind::scalar && !parse_layers(of->text))
    throw InputError(BadInput{.file = of->file,
                              .line = of->line,
                              .key = prefix + ".of",
                              .found = of->describe(),
                              .expected = "layers, as 0-3,6 or 0-23:4"});
}

void ArmConfig::choose_fields(const Node& node, const std::string& prefix, ArmConfig& value) {
  choose_options(node, prefix, value.options);
}

RunConfig read_run_config(const Node& root, const Node& arm, int64_t arm_index, int64_t seed) {
  RunConfig config;
  if (const Node* name = root.find("experiment"))
    detail::read_value(*name, "experiment", Key{"experiment", ""}, config.experiment);
  if (const Node* device = root.find("device"))
    detail::read_value(*device, "device", Key{"device", ""}, config.device);
  config.seed = seed;
  config.base = read_section<BaseConfig>(root, "base");
  config.data = read_section<DataConfig>(root, "data");
  config.train = read_section<TrainConfig>(root, "train");
  if (auto problem = train_problem(config.train)) {
    problem->key = "train." + problem->key;
    throw located(InputError(*problem), root);
  }
  config.eval = read_section<EvalConfig>(root, "eval");
  if (auto problem = cache_config_problem(config.eval.cache)) {
    problem->key = "eval.cache." + problem->key;
    throw located(InputError(*problem), root);
  }
  if (auto problem = context_problem(config)) throw located(InputError(*problem), root);
  if (auto problem = domains_problem(config)) throw located(InputError(*problem), root);
  const std::string name = name_of_item(arm);
  config.arm = read_arm(arm, "arms." + (name.empty() ? fmt::format("{}", arm_index) : name));
  return config;
}

std::string with_arm_number(const Node& root, const std::string& path) {
  const Node* arms = root.find("arms");
  if (!path.starts_with("arms.") || !arms) return path;
  const size_t end = std::min(path.find('.', 5), path.size());
  for (size_t i = 0; i < arms->items.size(); ++i) {
    const Node* name = arms->items[i].find("name");
    if (name && name->text == path.substr(5, end - 5)) return fmt::format("arms.{}{}", i, path.substr(end));
  }
  return path;
}

InputError located(const InputError& error, const Node& root) {
  BadInput problem = error.problem();
  if (problem.key.empty() || !problem.file.empty()) return error;
  // The key itself, or the nearest part of its path that is written down.
  for (std::string path = with_arm_number(root, problem.key); !path.empty();) {
    if (const Node* node = find_path(root, path)) {
      problem.file = node->file;
      problem.line = node->line;
      return InputError(problem);
    }
    const size_t dot = path.rfind('.');
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
  problem.file = root.file;
  return InputError(problem);
}

}  // namespace attnlab
