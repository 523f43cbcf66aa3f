#include "train/trainable.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

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

struct Scoped {
  std::string name;
  bool in_mixer = false;
  bool makes_kept = false;  // keys, values, or what a mixer keeps in their place
};

bool is_part(const std::vector<std::string>& parts, std::string_view parameter) {
  const auto part = parameter.substr(0, parameter.find('.'));
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// All that can be trained, in the decoder's order.
std::vector<Scoped> parameters_of(const Decoder& decoder) {
  std::map<std::string, const Mixer*> mixers;  // by the beginning of their parameters' names
  std::set<std::string> fixed;
  for (size_t i = 0; i < decoder.layers().size(); ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    mixers[layer + "self_attn."] = decoder.layers()[i]->mixer().get();
    for (const auto& name : decoder.layers()[i]->fixed_parameters()) fixed.insert(layer + name);
  }
  std::vector<Scoped> out;
  for (const auto& parameter : decoder.named_parameters()) {
    const std::string& name = parameter.key();
    if (fixed.contains(name)) continue;
    const auto after = mixers.upper_bound(name);
    const bool in_mixer = after != mixers.begin() && name.starts_with(std::prev(after)->first);
    if (!in_mixer) {
      out.push_back({name});
      continue;
    }
    const auto& [prefix, mixer] = *std::prev(after);
    const auto own = name.substr(prefix.size());
    out.push_back({name, true, !is_part(mixer->query_and_output_parts(), own)});
  }
  return out;
}

bool takes(const std::string& scope, const Scoped& parameter) {
  if (scope == "all") return true;
  if (scope == "attention") return parameter.in_mixer;
  if (scope == "attention_kv") return parameter.makes_kept;
  return matches(scope, parameter.name);
}

}  // namespace

std::vector<std::string> trainable_names(const Decoder& decoder, const std::vector<std::string>& scopes,
                                         const std::string& key) {
  const std::vector<Scoped> all = parameters_of(decoder);
  std::vector<std::string> taken, candidates{"all", "attention", "attention_kv"};
  for (const auto& parameter : all) candidates.push_back(parameter.name);
  for (const auto& scope : scopes)
    if (std::none_of(all.begin(), all.end(), [&](const auto& parameter) { return takes(scope, parameter); }))
      throw InputError(
          BadInput{.key = key,
                   .found = "'" + scope + "', which no parameter matches",
                   .expected = "all, attention, attention_kv, or a pattern such as " + all.back().name,
                   .nearest = nearest_name(scope, candidates)});
  for (const auto& parameter : all)
    if (std::any_of(scopes.begin(), scopes.end(), [&](const auto& scope) { return takes(scope, parameter); }))
      taken.push_back(parameter.name);
  if (taken.empty())
    throw InputError(BadInput{.key = key, .found = "an empty list", .expected = "at least one scope"});
  return taken;
}

void set_trainable(Decoder& decoder, const std::vector<std::string>& names) {
  for (auto& parameter : decoder.named_parameters())
    parameter.value().requires_grad_(std::find(names.begin(), names.end(), parameter.key()) != names.end());
}

}  // namespace attnlab
