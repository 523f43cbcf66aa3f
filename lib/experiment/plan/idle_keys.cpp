#include "experiment/plan/idle_keys.h"

#include <fmt/format.h>

#include <map>

#include "attention/care.h"
#include "attention/mla_deepseek.h"
#include "core/errors.h"

namespace attnlab {
namespace {

std::string why_idle(const BaseConfig& config, const std::string& key) {
  return key == "init_seed" && !config.init ? "the weights are those of path" : "";
}

std::string why_idle(const MlaDeepseek::Config& config, const std::string& key) {
  return key == "balance_kv_ratio" && !config.balance ? "balance is false" : "";
}

std::string why_idle(const Care::Config& config, const std::string& key) {
  const bool of_ranks = key == "rank" || key == "allocation";
  return of_ranks && !config.layers.keys.empty() ? "k_ranks and v_ranks say the ranks" : "";
}

struct Given {
  std::string found, why;  // of the last run in which it has no effect
  bool has_effect = false;
};

class Gatherer {
 public:
  void add(const RunConfig& config) {
    add_changed("base.", config.base);
    add_train(config.train);
    add_changed("eval.cache.", config.eval.cache);
    add_options("arms." + config.arm.name + ".options.", config.arm.options);
    if (config.data.mixture.empty()) add_changed("data.", config.data);
    for (size_t i = 0; i < config.data.mixture.size(); ++i)
      add_changed(fmt::format("data.mixture.{}.", i), config.data.mixture[i].source);
    for (const TaskConfig& task : config.eval.tasks)
      add_changed(fmt::format("eval.tasks.{}.", task.label()), task);
  }

  const std::map<std::string, Given>& keys() const { return keys_; }

 private:
  // A teacher's keys have their own defaults, which a config without one lacks.
  void add_train(const TrainConfig& config) {
    TrainConfig plain = config;
    plain.distill.reset();
    plain.prune.reset();
    plain.domains.reset();
    add_changed("train.", plain);
    if (config.distill) add_changed("train.distill.", *config.distill);
  }

  void add_options(const std::string& prefix, const VariantConfig& config) {
    if (const auto* deepseek = config.get_if<MlaDeepseek>()) add_changed(prefix, *deepseek);
    if (const auto* care = config.get_if<Care>()) add_changed(prefix, *care);
  }

  template <HasFields T>
  void add_changed(const std::string& prefix, const T& config) {
    const FlatFields plain = flatten(T{});
    const std::map<std::string, FieldValue> defaults(plain.begin(), plain.end());
    for (const auto& [key, value] : flatten(config)) {
      const auto standard = defaults.find(key);
      if (standard != defaults.end() && standard->second == value) continue;
      Given& given = keys_[prefix + key];
      const std::string why = why_idle(config, key);
      given.has_effect |= why.empty();
      if (!why.empty()) given = {to_text(value), why, given.has_effect};
    }
  }

  std::map<std::string, Given> keys_;
};

}  // namespace

std::vector<std::string> idle_keys(const Plan& plan) {
  Gatherer gatherer;
  for (const auto& run : plan.runs) gatherer.add(run.config);
  std::vector<std::string> lines;
  for (const auto& [key, given] : gatherer.keys()) {
    if (given.has_effect) continue;
    if (key.starts_with("data.") && key.ends_with("path"))
      throw located(InputError(BadInput{.key = key,
                                        .found = fmt::format("{}, while {}", given.found, given.why),
                                        .expected = "a kind that reads it (gsm8k, text_jsonl, …), or no path"}),
                    plan.root);
    lines.push_back(fmt::format("{}: {} has no effect: {}", key, given.found, given.why));
  }
  return lines;
}

}  // namespace attnlab
