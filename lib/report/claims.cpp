// Claims of the paper and what the runs here say of each, negative results first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/interval_drawing.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr std::array<ClaimVerdict, 4> negative_first{ClaimVerdict::does_not_hold, ClaimVerdict::not_shown,
                                                     ClaimVerdict::holds, ClaimVerdict::no_data};

struct Sign {
  const char *symbol, *name;
};
Sign sign_of(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::holds:
      return {"✓", "holds"};
    case ClaimVerdict::does_not_hold:
      return {"✗", "fails"};
    case ClaimVerdict::not_shown:
      return {"?", "open"};
    case ClaimVerdict::no_data:
      break;
  }
  return {"–", "none"};
}

Html badge(ClaimVerdict verdict) {
  const Sign sign = sign_of(verdict);
  return element(
      "span", {{"class", std::string("verdict ") + sign.name}},
      element("span", {{"aria-hidden", "true"}}, text(sign.symbol)) + text(" ") + text(name_of(verdict)));
}

std::string with_unit(double value, const std::string& unit) {
  return number(value) + (unit.empty() || std::isnan(value) ? "" : " " + unit);
}

std::string measured_text(const ClaimResult& claim) {
  if (std::isnan(claim.effect.value)) return "-";
  std::string out = with_unit(claim.effect.value, claim.unit);
  if (claim.effect.has_ends())
    out += fmt::format(", 95 % interval [{}, {}]", number(claim.effect.low), number(claim.effect.high));
  return out;
}

// A ratio says "no difference" with 1.
double neutral_of(const ClaimResult& claim) { return claim.unit == "times" ? 1 : 0; }

Html fact_row(const std::string& name, const Html& value) {
  if (value.empty()) return {};
  return element("div", element("dt", text(name)) + element("dd", value));
}

Html numbers(const ClaimResult& claim) {
  Html out;
  if (!std::isnan(claim.effect.value)) {
    const std::string measured = measured_text(claim);
    out += fact_row("Measured", text(measured) + draw_interval(claim.effect, neutral_of(claim), measured));
  }
  if (!std::isnan(claim.effect_size)) out += fact_row("Effect size (d_z)", text(number(claim.effect_size, 3)));
  if (!std::isnan(claim.p))
    out += fact_row(
        "p", text(number(claim.p, 2) + (std::isnan(claim.p_holm) ? "" : "; Holm: " + number(claim.p_holm, 2))));
  if (claim.seeds > 0)
    out += fact_row("Over", text(count(claim.seeds, "seed") +
                                 (claim.problems > 0 ? ", " + count(claim.problems, "problem") : "")));
  return out;
}

Html facts(const ClaimResult& claim) {
  Html out = numbers(claim);
  out += fact_row("Compared", text(claim.comparison));
  out += fact_row("Where", text(claim.experiment));
  out += fact_row("Scale", text(claim.scale));
  out += fact_row("Why", text(claim.why));
  return element("dl", out);
}

Grid parts_grid(const std::vector<ClaimResult>& parts) {
  Grid grid{.titles = {"where", "compared", "measured", "p (Holm)", "seeds", "verdict"}};
  for (const auto& part : parts)
    grid.lines.push_back(
        {.cells = {part.experiment, part.comparison, measured_text(part), number(part.p_holm, 2),
                   fmt::format("{}", part.seeds),
                   std::string(sign_of(part.verdict).symbol) + " " + std::string(name_of(part.verdict))}});
  return grid;
}

Html parts_of(const ClaimResult& claim) {
  if (claim.parts.empty()) return {};
  Html cards;
  for (const auto& part : claim.parts)
    cards += element("div", {{"class", "part"}}, badge(part.verdict) + facts(part));
  return foldable(text(count(std::ssize(claim.parts), "part")),
                  table_of(parts_grid(claim.parts), "Parts of: " + claim.sentence) + cards);
}

Html card(const ClaimResult& claim) {
  Html about = fact_row("The paper says", text(claim.claimed)) + fact_row("Source", text(claim.source));
  Html needed = fact_row("What would be needed", text(claim.needed));
  if (!claim.command.empty()) needed += fact_row("Data from", code(claim.command));
  const Html body = element("h3", text(claim.sentence)) + badge(claim.verdict) + element("dl", about) +
                    facts(claim) + element("dl", needed) + parts_of(claim);
  return element("article",
                 {{"class", std::string("claim ") + sign_of(claim.verdict).name}, {"id", "claim-" + claim.id}},
                 body) +
         Html::trusted("\n");
}

std::vector<const ClaimResult*> sorted(const std::vector<ClaimResult>& claims) {
  std::vector<const ClaimResult*> order;
  for (const ClaimVerdict verdict : negative_first)
    for (const auto& claim : claims)
      if (claim.verdict == verdict) order.push_back(&claim);
  return order;
}

std::string tally(const std::vector<ClaimResult>& claims) {
  std::vector<std::string> counts;
  for (const ClaimVerdict verdict : negative_first) {
    const auto n = std::count_if(claims.begin(), claims.end(),
                                 [&](const auto& claim) { return claim.verdict == verdict; });
    if (n > 0) counts.push_back(fmt::format("{}: {}", name_of(verdict), n));
  }
  return count(std::ssize(claims), "claim") + ". " + join(counts, "; ") + ".";
}

}  // namespace

Html claims_section(const std::vector<ClaimResult>* claims) {
  Html out;
  if (!claims) out = paragraph("No claims were judged: give their file with --claims.");
  if (claims && claims->empty()) out = paragraph("The claims file holds no claim.");
  if (claims && !claims->empty()) {
    out += paragraph(
        tally(*claims) +
        " A claim holds here only if its whole 95 % interval lies on the claimed side; it does not hold if "
        "the whole interval lies on the other one; else it is not shown. The p values marked Holm are "
        "adjusted for the number of claims.");
    for (const ClaimResult* claim : sorted(*claims)) out += card(*claim);
  }
  return section("claims", "Claims", out);
}

}  // namespace attnlab::report
