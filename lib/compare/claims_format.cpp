#include "compare/claims_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/grid.h"

namespace attnlab {
namespace {

// Those that fail first; what nothing is known of last.
int place_of(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::does_not_hold:
      return 0;
    case ClaimVerdict::not_shown:
      return 1;
    case ClaimVerdict::equivalent:
    case ClaimVerdict::holds:
      return 2;
    case ClaimVerdict::no_data:
      break;
  }
  return 3;
}

std::string number(double value, const char* absent = "") {
  return std::isnan(value) ? absent : fmt::format("{:.4g}", value);
}

std::vector<std::string> cells_of(const ClaimResult& result, const std::string& label) {
  const Interval& effect = result.effect;
  return {label,
          number(effect.value),
          result.parts.empty() ? result.unit : "",
          effect.has_ends() ? fmt::format("[{}, {}]", number(effect.low), number(effect.high)) : "",
          number(result.effect_size),
          std::isnan(result.p_holm) ? "" : fmt::format("{:.2g}", result.p_holm),
          result.seeds > 0 ? fmt::format("{}", result.seeds) : "",
          std::string(name_of(result.verdict))};
}

std::string explanation(const ClaimResult& claim, TableStyle style) {
  const bool markdown = style == TableStyle::markdown;
  const std::string mark = markdown ? "**" : "";
  std::string text = fmt::format("{}{}{}{}: {} ({})", markdown ? "- " : "\n", mark, claim.id, mark,
                                 claim.sentence, claim.source);
  const auto add = [&](const char* title, const std::string& value) {
    if (!value.empty()) text += fmt::format("{}{}: {}", markdown ? "; " : "\n    ", title, value);
  };
  add("claimed", claim.claimed);
  add("verdict", std::string(name_of(claim.verdict)) + (claim.why.empty() ? "" : ": " + claim.why));
  add("scale", claim.scale);
  if (claim.verdict != ClaimVerdict::holds && claim.verdict != ClaimVerdict::equivalent)
    add("needed", claim.needed);
  if (claim.verdict == ClaimVerdict::no_data) add("made by", claim.command);
  text += "\n";
  for (size_t i = 0; i < claim.parts.size(); ++i) {
    const ClaimResult& part = claim.parts[i];
    text += fmt::format("{}part {}, {}: {}: {}: {}\n", markdown ? "  - " : "      ", i + 1, part.experiment,
                        part.comparison, name_of(part.verdict), part.why);
  }
  return text;
}

}  // namespace

std::string format_claims(const std::vector<ClaimResult>& claims, TableStyle style) {
  if (claims.empty()) return "";
  std::vector<const ClaimResult*> order;
  for (const auto& claim : claims) order.push_back(&claim);
  std::stable_sort(order.begin(), order.end(), [](const ClaimResult* a, const ClaimResult* b) {
    return place_of(a->verdict) < place_of(b->verdict);
  });
  Grid grid{
      .titles = {"claim", "number", "unit", "95 % interval", "effect size", "p (Holm)", "seeds", "verdict"}};
  std::string below;
  for (const ClaimResult* claim : order) {
    grid.lines.push_back({.cells = cells_of(*claim, claim->id)});
    for (size_t i = 0; i < claim->parts.size(); ++i)
      if (claim->parts[i].verdict != ClaimVerdict::no_data)
        grid.lines.push_back({.cells = cells_of(claim->parts[i], fmt::format("  part {}", i + 1))});
    below += explanation(*claim, style);
  }
  const std::string table = style == TableStyle::text ? as_text(grid) : as_markdown(grid);
  return table + "\nEffect size: mean difference over its standard deviation over seeds. " + claims_rule() +
         "\n" + (style == TableStyle::markdown ? "\n" : "") + below;
}

}  // namespace attnlab
