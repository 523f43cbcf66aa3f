// Tables of measurements seen as rows of named values, so that a claims file can name columns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/claims_config.h"
#include "results/measurements.h"

namespace attnlab {

enum class ColumnKind { number, text };

// Besides the columns of results/measurements.h, conversions have cache_saved (1 - cached / cached_base),
// perplexity_ratio (perplexity / perplexity_base), log_perplexity (nats per token), and one text column
// "options.KEY" for each KEY=VALUE in their options; decode_steps have tokens_per_second with its _min and _max
// over steps. nullopt: there is no such column.
std::optional<ColumnKind> column_kind(MeasuredTable table, const std::string& column);
std::vector<std::string> column_names(MeasuredTable table);
std::vector<std::string> number_columns(MeasuredTable table);

// One row as flat fields, with the columns above; numbers as double.
struct MeasuredRow {
  FlatFields fields;
  // NaN and "" where the row has no such column.
  double number(const std::string& column) const;
  std::string text(const std::string& column) const;
  // Number or text, as text: for keys.
  std::string shown(const std::string& column) const;
};

// All rows of one file. Of fits those after the last step of their seed, unless `all_steps`.
std::vector<MeasuredRow> rows_of(const Measurements& file, MeasuredTable table, bool all_steps);

bool admits(const ColumnFilter& filter, const MeasuredRow& row);
bool admits(const std::vector<ColumnFilter>& filters, const MeasuredRow& row);

// "a, b*" as its parts.
std::vector<std::string> split_patterns(const std::string& patterns);
// `text` fits one of the patterns, given behind commas: "*" and "?" as in a shell.
bool fits_pattern(const std::string& patterns, const std::string& text);

}  // namespace attnlab
