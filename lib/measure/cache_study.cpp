#include "measure/cache_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/names.h"

namespace attnlab {
namespace {

bool is_of(const CacheSet& set, const StudiedModel& model) {
  return set.models.empty() || std::find(set.models.begin(), set.models.end(), model.name) != set.models.end();
}

std::string storage_label(const StorageConfig& config) {
  const std::string name(name_of(config.name));
  return config.name == CacheStorageName::kivi ? fmt::format("{}{}", name, config.bits) : name;
}

// Keys that differ from their defaults; the calibration's place is the model's.
std::string settings_text(const CacheConfig& config) {
  const FlatFields plain = flatten(CacheConfig{});
  std::vector<std::string> parts;
  for (const auto& field : flatten(config))
    if (field.first != "calibration" && std::find(plain.begin(), plain.end(), field) == plain.end())
      parts.push_back(field.first + ": " + to_text(field.second));
  return join(parts);
}

// LazyLLM drops tokens thrice, a like share each time: s = (1 - p)³ is what the last layers look at.
double prune_share_for(double share) { return std::round(1e6 * (1 - std::cbrt(share))) / 1e6; }

bool drops_tokens(const PolicyConfig& policy) { return policy.policy != CachePolicyName::all; }

CacheSetting setting_of(PolicyConfig policy, std::optional<double> share, StorageConfig storage,
                        const StudiedModel& model) {
  CacheSetting setting{.share = share.value_or(policy.share.value_or(1))};
  if (share && policy.policy == CachePolicyName::lazyllm)
    policy.prune_share = prune_share_for(*share);
  else if (share)
    policy.share = share;
  if (storage.name == CacheStorageName::kvquant && storage.calibration.empty())
    storage.calibration = model.calibration;
  setting.config.policy = std::move(policy);
  setting.config.storage = std::move(storage);
  setting.storage = storage_label(setting.config.storage);
  setting.text = settings_text(setting.config);
  return setting;
}

std::vector<CacheSetting> settings_of(const CacheSet& set, const StudiedModel& model) {
  std::vector<CacheSetting> settings;
  for (const PolicyConfig& policy : set.policies)
    for (const StorageConfig& storage : set.storages) {
      if (!drops_tokens(policy) || set.shares.empty()) {
        settings.push_back(setting_of(policy, std::nullopt, storage, model));
        continue;
      }
      for (const double share : set.shares) settings.push_back(setting_of(policy, share, storage, model));
    }
  return settings;
}

std::optional<BadInput> models_problem(const CacheStudy& study) {
  std::vector<std::string> names;
  for (const StudiedModel& model : study.models) {
    if (std::find(names.begin(), names.end(), model.name) != names.end())
      return BadInput{.key = "models", .found = "'" + model.name + "' twice", .expected = "a name for each"};
    names.push_back(model.name);
  }
  if (names.empty()) return BadInput{.key = "models", .found = "none", .expected = "at least one"};
  for (const CacheSet& set : study.sets)
    for (const auto& name : set.models)
      if (std::find(names.begin(), names.end(), name) == names.end())
        return BadInput{.key = "sets.models",
                        .found = "'" + name + "'",
                        .expected = "of " + join(names),
                        .nearest = nearest_name(name, names)};
  return std::nullopt;
}

}  // namespace

std::optional<BadInput> study_problem(const CacheStudy& study) {
  if (auto problem = models_problem(study)) return problem;
  if (study.text_scored >= study.text_tokens)
    return BadInput{.key = "text_scored",
                    .found = fmt::format("{}", study.text_scored),
                    .expected = fmt::format("less than text_tokens, {}", study.text_tokens)};
  for (size_t i = 0; i < study.sets.size(); ++i)
    for (const StudiedModel& model : study.models) {
      if (!is_of(study.sets[i], model)) continue;
      for (const auto& setting : settings_of(study.sets[i], model))
        if (auto problem = cache_config_problem(setting.config)) {
          problem->key = fmt::format("sets.{}.{}", i, problem->key);
          problem->found += " (" + model.name + ": " + setting.text + ")";
          return problem;
        }
    }
  return std::nullopt;
}

std::vector<CacheSetting> settings_of(const CacheStudy& study, const StudiedModel& model) {
  std::vector<CacheSetting> settings;
  std::set<std::string> seen;
  for (const CacheSet& set : study.sets)
    if (is_of(set, model))
      for (auto& setting : settings_of(set, model)) {
        setting.problems = set.problems;
        if (seen.insert(setting.text).second) settings.push_back(std::move(setting));
      }
  return settings;
}

}  // namespace attnlab
