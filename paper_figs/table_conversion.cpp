// Every conversion that was measured before any training: what it keeps in the cache and what it costs.
#include <fmt/format.h>

#include "measured.h"
#include "tables.h"

namespace attnlab {
namespace {

std::string options_of(const ConversionRow& row) {
  std::vector<std::string> parts;
  if (row.freqfold > 0) parts.push_back(fmt::format("freqfold={}", row.freqfold));
  if (row.collapse > 0) parts.push_back(fmt::format("collapse={}", row.collapse));
  if (!row.options.empty()) parts.push_back(row.options);
  return join(parts, " ");
}

Line line_of(const ConversionRow& row) {
  const double cached = static_cast<double>(row.cached) / static_cast<double>(row.cached_base);
  return {.cells = {row.form + ", " + row.stage, options_of(row),
                    row.rank > 0 ? fmt::format("{}", row.rank) : "",
                    row.cached_base > 0 ? fmt::format("{:.1f}", 100 * cached) : "-", row.exact ? "yes" : "no",
                    fmt::format("{:.1e}", row.max_logit_difference), fmt::format("{:.2e}", row.kl),
                    fmt::format("{:.1f}", 100 * row.same_token), fmt::format("{:.3f}", row.perplexity)}};
}

}  // namespace

Figure table_conversion(const Measurements& measured) {
  if (measured.conversions.empty()) return {.drawings = {}, .missing = "no conversion was measured"};
  Grid grid{.titles = {"form, stage", "options", "rank", "cache, of the base's %", "exact", "max |Δlogit|",
                       "KL (nats)", "same token %", "perplexity"}};
  for (const auto& [base, rows] :
       grouped(measured.conversions, [](const ConversionRow& row) { return row.base; })) {
    grid.lines.push_back(
        {.heading = fmt::format("{}, perplexity {:.3f}", short_name(base), rows.front().perplexity_base)});
    for (const auto& row : rows) grid.lines.push_back(line_of(row));
  }
  return {.drawings = {},
          .missing = "",
          .tables = {
              {.name = "table_conversion",
               .caption = "Conversions before any training, stage by stage",
               .grid = std::move(grid),
               .notes = {"Against the base, on held-out text. The paper's table 1 has such conversions as its "
                         "rows of 0 tokens, by scores on seven tasks; for these there is no data here."}}}};
}

}  // namespace attnlab
