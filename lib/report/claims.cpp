// Claims of the paper and what the runs here say of each, negative results first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/interval_drawing.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr std::array<ClaimVerdict, 5> negative_first{ClaimVerdict::does_not_hold, ClaimVerdict::not_shown,
                                                     ClaimVerdict::equivalent, ClaimVerdict::holds,
                                                     ClaimVerdict::no_data};

struct Sign {
  const char *symbol, *name;
};
Sign sign_of(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::holds:
      return {"✓", "holds"};
    case ClaimVerdict::does_not_hold:
      return {"✗", "fails"};
    case ClaimVerdict::equivalent:
      return {"≈", "open"};
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

// No difference (a ratio of 1), and the borders of what is claimed.
std::vector<IntervalMark> marks_of(const ClaimResult& claim) {
  const double neutral = claim.unit == "times" ? 1 : 0;
  std::vector<IntervalMark> marks{{neutral, number(neutral)}};
  const bool low = std::isfinite(claim.claimed_low), high = std::isfinite(claim.claimed_high);
  if (low)
    marks.push_back({claim.claimed_low,
                     "claimed: " + std::string(high ? "from " : "above ") + number(claim.claimed_low), true});
  if (high)
    marks.push_back({claim.claimed_high, (low ? "to " : "claimed: below ") + number(claim.claimed_high), true});
  return marks;
}

Html measured(const ClaimResult& claim, const IntervalScale& scale) {
  const std::string words = measured_text(claim);
  return text(words) + draw_interval(claim.effect, marks_of(claim), words, scale);
}

// Of the parts of a claim that are told in this unit.
IntervalScale scale_of(const std::vector<ClaimResult>& parts, const std::string& unit) {
  IntervalScale scale;
  for (const auto& part : parts)
    if (part.unit == unit && std::isfinite(part.effect.value)) scale.take(part.effect, marks_of(part));
  return scale;
}

Html fact_row(const std::string& name, const Html& value) {
  if (value.empty()) return {};
  return element("div", element("dt", text(name)) + element("dd", value));
}

std::string p_text(const ClaimResult& claim) {
  return number(claim.p, 2) + (std::isnan(claim.p_holm) ? "" : "; Holm: " + number(claim.p_holm, 2));
}

Html number_rows(const ClaimResult& claim) {
  Html out;
  if (!std::isnan(claim.effect.value))
    out += fact_row("Measured", measured(claim, scale_of({claim}, claim.unit)));
  if (!std::isnan(claim.effect_size)) out += fact_row("Effect size (d_z)", text(number(claim.effect_size, 3)));
  if (!std::isnan(claim.p)) out += fact_row("p", text(p_text(claim)));
  if (claim.seeds == 0) return out;
  std::string over = count(claim.seeds, "seed");
  if (claim.problems > 0) over += ", " + count(claim.problems, "problem");
  return out + fact_row("Over", text(over));
}

// Of a claim with parts the parts tell where.
Html facts(const ClaimResult& claim) {
  Html out = fact_row("The paper says", text(claim.claimed)) + number_rows(claim);
  if (claim.parts.empty())
    out += fact_row("Compared", text(claim.comparison)) + fact_row("Where", text(claim.experiment));
  out += fact_row("Scale", text(claim.scale)) + fact_row("What would be needed", text(claim.needed));
  if (!claim.command.empty()) out += fact_row("Data from", code(claim.command));
  return element("dl", out + fact_row("Source", text(claim.source)));
}

Html parts_table(const ClaimResult& claim) {
  std::vector<std::vector<Html>> rows;
  for (const auto& part : claim.parts)
    rows.push_back({text(part.experiment), badge(part.verdict),
                    measured(part, scale_of(claim.parts, part.unit)), text(part.comparison), text(p_text(part)),
                    text(number(part.effect_size, 3)), text(fmt::format("{}", part.seeds))});
  return table_of({"where", "verdict", "measured", "compared", "p", "d_z", "seeds"}, rows,
                  "Parts of this claim");
}

Html parts_of(const ClaimResult& claim) {
  if (claim.parts.empty()) return {};
  Html why;
  for (const auto& part : claim.parts)
    why += element("li",
                   text(part.experiment + ", " + part.comparison + ": " + part.why + " (" + part.scale + ")"));
  return parts_table(claim) + foldable(text("Why, part by part"), element("ul", why));
}

Html card(const ClaimResult& claim) {
  const Html verdict =
      element("p", badge(claim.verdict) + text(claim.why.empty() ? "" : ": " + claim.why + "."));
  return element("article",
                 {{"class", std::string("claim ") + sign_of(claim.verdict).name}, {"id", "claim-" + claim.id}},
                 element("h3", text(claim.sentence)) + verdict + facts(claim) + parts_of(claim)) +
         Html::trusted("\n");
}

Html overview(const std::vector<const ClaimResult*>& claims) {
  std::vector<std::vector<Html>> rows;
  for (const ClaimResult* claim : claims)
    rows.push_back({element("a", {{"href", "#claim-" + claim->id}}, text(claim->sentence)),
                    badge(claim->verdict), text(claim->claimed)});
  return table_of({"claim", "verdict", "the paper says"}, rows, "All claims, negative results first");
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
    out += paragraph(tally(*claims) + " " + claims_rule());
    const auto order = sorted(*claims);
    out += overview(order);
    for (const ClaimResult* claim : order) out += card(*claim);
  }
  return section("claims", "Claims", out);
}

}  // namespace attnlab::report
