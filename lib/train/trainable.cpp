#include "train/trainable.h"

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

bool matches(std::string_view pattern, std::string_view name) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (name.substr(0, star) != pattern.substr(0, star)) return false;
  const auto rest = pattern.substr(star + 1);
  for (size_t at = star; at <= name.size(); ++at)
    if (matches(rest, name.substr(at))) return true;
  return false;
}

// Parameters that are never trained.
std::vector<std::string> fixed_names(const Decoder& decoder) {
  std::vector<std::string> names;
  for (size_t i = 0; i < decoder.layers().size(); ++i)
    for (const auto& name : decoder.layers()[i]->attention()->fixed_parameters())
      names.push_back("model.layers." + std::to_string(i) + ".self_attn." + name);
  return names;
}

bool takes(const std::string& scope, const std::string& name) {
  const bool attention = name.find(".self_attn.") != std::string::npos;
  if (scope == "all") return true;
  if (scope == "attention") return attention;
  if (scope == "attention_kv")  // q_proj, q_a_proj, q_norm, … stay
    return attention && name.find(".self_attn.q_") == std::string::npos &&
           name.find(".self_attn.o_") == std::string::npos;
  return matches(scope, name);
}

}  // namespace

std::vector<std::string> trainable_names(const Decoder& decoder, const std::vector<std::string>& scopes,
                                         const std::string& key) {
  std::vector<std::string> all, taken, candidates{"all", "attention", "attention_kv"};
  const auto fixed = fixed_names(decoder);
  for (const auto& parameter : decoder.named_parameters())
    if (std::find(fixed.begin(), fixed.end(), parameter.key()) == fixed.end()) all.push_back(parameter.key());
  candidates.insert(candidates.end(), all.begin(), all.end());
  for (const auto& scope : scopes)
    if (std::none_of(all.begin(), all.end(), [&](const auto& name) { return takes(scope, name); }))
      throw InputError(BadInput{.key = key,
                                .found = "'" + scope + "', which no parameter matches",
                                .expected = "all, attention, attention_kv, or a pattern such as " + all.back(),
                                .nearest = nearest_name(scope, candidates)});
  for (const auto& name : all)
    if (std::any_of(scopes.begin(), scopes.end(), [&](const auto& scope) { return takes(scope, name); }))
      taken.push_back(name);
  if (taken.empty())
    throw InputError(BadInput{.key = key, .found = "an empty list", .expected = "at least one scope"});
  return taken;
}

void set_trainable(Decoder& decoder, const std::vector<std::string>& names) {
  for (auto& parameter : decoder.named_parameters())
    parameter.value().requires_grad_(std::find(names.begin(), names.end(), parameter.key()) != names.end());
}

}  // namespace attnlab
