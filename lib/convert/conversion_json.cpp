#include "convert/conversion_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/document.h"
#include "core/errors.h"

namespace attnlab {
namespace {

nlohmann::ordered_json value_of(const FieldValue& value) {
  return std::visit([](const auto& held) { return nlohmann::ordered_json(held); }, value);
}

template <HasFields T>
nlohmann::ordered_json object_of(const T& fields) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [name, value] : flatten(fields)) out[name] = value_of(value);
  return out;
}

std::string stage_row(const StageReport& stage, const ConversionReport& report) {
  const auto& e = stage.from_base;
  const std::string kind = stage.exact ? "exact" : "approx.";
  const std::string cache = fmt::format(
      "{} ({:.1f} %)", stage.cached_numbers,
      100.0 * static_cast<double>(stage.cached_numbers) / static_cast<double>(report.base_cached_numbers));
  const std::string weights = fmt::format("{:.2f} ({:.1f} %)", stage.weight_bytes / 1e6,
                                          100 * stage.weight_bytes / report.base_weight_bytes);
  if (e.positions == 0)
    return fmt::format("{:<14} {:<8} {:>40} {:>18} {:>18}\n", stage.name, kind, "not measured", cache, weights);
  return fmt::format("{:<14} {:<8} {:>10} {:>11.3g} {:>10.3g} {:>7.1f} % {:>11.4f} {:>18} {:>18}\n", stage.name,
                     kind, stage.max_difference ? fmt::format("{:.3g}", *stage.max_difference) : "",
                     e.max_logit_difference, e.kl_divergence, 100 * e.top1_agreement, e.perplexity_after, cache,
                     weights);
}

// "rope_energy over layers: mean 0.93, least 0.87 (layer 3)".
std::string fact_line(const StageReport& stage, const std::string& fact) {
  double sum = 0, least = 0;
  size_t where = 0;
  size_t told = 0;
  for (size_t i = 0; i < stage.layers.size(); ++i) {
    const auto found = stage.layers[i].find(fact);
    if (found == stage.layers[i].end()) continue;  // a layer that the stage leaves as it is
    sum += found->second;
    if (told == 0 || found->second < least) least = found->second, where = i;
    ++told;
  }
  return fmt::format("  {}, {}: mean {:.4f}, least {:.4f} (layer {})\n", stage.name, fact,
                     sum / static_cast<double>(told), least, where);
}

}  // namespace

nlohmann::ordered_json to_json(const ConversionReport& report) {
  nlohmann::ordered_json out;
  out["base"] = {{"cached_numbers_per_token", report.base_cached_numbers},
                 {"weight_bytes", report.base_weight_bytes}};
  if (report.base_perplexity > 0) out["base"]["perplexity"] = report.base_perplexity;
  for (const auto& stage : report.stages) {
    nlohmann::ordered_json row;
    row["name"] = stage.name;
    row["does"] = stage.does;
    row["variant"] = stage.variant;
    row["exact"] = stage.exact;
    row["cached_numbers_per_token"] = stage.cached_numbers;
    row["weight_bytes"] = stage.weight_bytes;
    if (stage.from_base.positions > 0) {
      if (stage.max_difference) row["max_logit_difference_from_stage_before"] = *stage.max_difference;
      row["rounding_tolerance"] = stage.tolerance;
      row["from_base"] = object_of(stage.from_base);
    }
    for (const auto& facts : stage.layers) row["layers"].push_back(facts);
    out["stages"].push_back(row);
  }
  return out;
}

nlohmann::json facts_to_json(const std::vector<std::vector<LayerFacts>>& facts) { return facts; }

std::vector<std::vector<LayerFacts>> facts_from_json(const nlohmann::json& json) {
  return json.get<std::vector<std::vector<LayerFacts>>>();
}

nlohmann::ordered_json options_to_json(const ConversionTarget& target) {
  auto out = nlohmann::ordered_json::object();
  for (const auto& [name, value] : target_fields(target)) out[name] = value_of(value);
  return out;
}

nlohmann::ordered_json steps_to_json(const std::vector<ConversionStep>& steps) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& step : steps)
    out.push_back({{"to", target_name(step.to)},
                   {"layers", layers_text(step.layers)},
                   {"options", options_to_json(step.to)}});
  return out;
}

std::vector<ConversionStep> steps_from_json(const nlohmann::json& json) {
  std::vector<ConversionStep> steps;
  for (const auto& item : json) {
    const auto defaults = target_defaults(item.at("to").get<std::string>());
    const auto layers = parse_layers(item.at("layers").get<std::string>());
    ATTNLAB_CHECK(defaults && layers);
    steps.push_back(
        {target_with_options(*defaults, parse_yaml(item.at("options").dump(), "options")), *layers});
  }
  return steps;
}

std::string conversion_table(const ConversionReport& report) {
  std::string text = fmt::format("{:<14} {:<8} {:>10} {:>11} {:>10} {:>9} {:>11} {:>18} {:>18}\n", "stage", "",
                                 "max|Δ|", "max|Δ|", "KL", "top-1", "perplexity", "cached numbers", "weights");
  text += fmt::format("{:<14} {:<8} {:>9} {:>10} {:>10} {:>9} {:>11} {:>18} {:>18}\n", "", "", "to before",
                      "to base", "to base", "the same", "", "per token", "MB");
  const std::string perplexity =
      report.base_perplexity > 0 ? fmt::format("{:.4f}", report.base_perplexity) : std::string();
  text += fmt::format("{:<14} {:<8} {:>10} {:>11} {:>10} {:>9} {:>11} {:>18} {:>18}\n", "base", "", "", "", "",
                      "", perplexity, fmt::format("{} (100.0 %)", report.base_cached_numbers),
                      fmt::format("{:.2f} (100.0 %)", report.base_weight_bytes / 1e6));
  for (const auto& stage : report.stages) text += stage_row(stage, report);
  for (const auto& stage : report.stages) {
    std::set<std::string> facts;
    for (const auto& layer : stage.layers)
      for (const auto& [name, value] : layer) facts.insert(name);
    for (const auto& fact : facts) text += fact_line(stage, fact);
  }
  return text;
}

}  // namespace attnlab
