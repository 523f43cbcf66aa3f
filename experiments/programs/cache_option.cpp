#include "cache_option.h"

#include <fmt/format.h>

#include <map>

#include "config/document.h"
#include "config/node.h"
#include "model/cache_calibration.h"
#include "model/decoder.h"
#include "state/policy.h"

namespace attnlab {
namespace {

constexpr const char* kOption = "--cache";

// "a=1,b=[2,3]" at the commas that stand in no brackets.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    depth += (c == '[') - (c == ']');
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

[[noreturn]] void refuse(BadInput problem) {
  problem.file = kOption;
  throw InputError(problem);
}

}  // namespace

void note_idle_cache_keys(const CacheConfig& config) {
  const FlatFields plain = flatten(CacheConfig{});
  const std::map<std::string, FieldValue> defaults(plain.begin(), plain.end());
  std::vector<std::string> notes;
  for (const auto& [key, value] : flatten(config)) {
    const auto standard = defaults.find(key);
    if (standard != defaults.end() && standard->second == value) continue;
    if (const std::string why = why_idle(config, key); !why.empty())
      notes.push_back(fmt::format("{} {}: {} has no effect: {}", kOption, key, to_text(value), why));
  }
  print_notes(notes);
}

void add_cache_option(Program& program, std::string& cache) {
  program.option("cache", cache, "KEY=VALUE,…",
                 "how caches are kept, in the keys of eval.cache (CONFIG.md): policy=h2o,share=0.2");
}

CacheConfig read_cache_option(const std::string& text, bool contexts) {
  if (text.empty()) return {};
  Node root{.kind = Node::Kind::map, .file = kOption};
  for (const auto& part : parts_of(text)) {
    auto [key, value] = parse_setting(kOption, part);
    if (root.find(key)) refuse({.key = key, .found = "it twice", .expected = "each key once"});
    root.entries.push_back({std::move(key), std::move(value)});
  }
  const auto config = read_config<CacheConfig>(root);
  if (const auto problem = cache_config_problem(config)) refuse(*problem);
  if (!contexts && config.policy.behind == ActsBehind::context)
    refuse({.key = "behind", .found = "context", .expected = "prompt: nothing here says where a context ends"});
  return config;
}

void require_cache_for(const ModelForm& form, const CacheConfig& config) {
  if (const auto problem = cache_problem(form, read_cache_plan(config))) refuse(*problem);
}

}  // namespace attnlab
