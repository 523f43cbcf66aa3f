#include "compare/measured_table.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "core/find_field.h"
#include "stats/intervals.h"

namespace attnlab {
namespace {

constexpr const char* option_prefix = "options.";

void add_derived(FlatFields& fields, const ConversionRow& row) {
  fields.emplace_back("cache_saved",
                      1 - static_cast<double>(row.cached) / static_cast<double>(row.cached_base));
  fields.emplace_back("perplexity_ratio", row.perplexity / row.perplexity_base);
  fields.emplace_back("log_perplexity", std::log(row.perplexity));
  std::istringstream options(row.options);
  for (std::string option; options >> option;)
    if (const size_t equals = option.find('='); equals != std::string::npos)
      fields.emplace_back(option_prefix + option.substr(0, equals), option.substr(equals + 1));
}

// With the range that the slowest and the fastest step make.
void add_derived(FlatFields& fields, const DecodeRow& row) {
  const double tokens = 1000 * static_cast<double>(row.batch);
  fields.emplace_back("tokens_per_second", tokens / row.ms);
  fields.emplace_back("tokens_per_second_min", tokens / row.ms_max);
  fields.emplace_back("tokens_per_second_max", tokens / row.ms_min);
}

template <class Row>
MeasuredRow as_measured(const Row& row) {
  MeasuredRow measured{flatten(row)};
  for (auto& [name, value] : measured.fields)
    if (const auto* whole = std::get_if<int64_t>(&value)) value = static_cast<double>(*whole);
  if constexpr (std::is_same_v<Row, ConversionRow> || std::is_same_v<Row, DecodeRow>)
    add_derived(measured.fields, row);
  return measured;
}

template <class Row>
std::vector<MeasuredRow> as_measured(const std::vector<Row>& rows) {
  std::vector<MeasuredRow> measured;
  for (const auto& row : rows) measured.push_back(as_measured(row));
  return measured;
}

MeasuredRow empty_row(MeasuredTable table) {
  if (table == MeasuredTable::conversions) return as_measured(ConversionRow{});
  if (table == MeasuredTable::caches) return as_measured(CacheRow{});
  if (table == MeasuredTable::served) return as_measured(ServeRow{});
  return table == MeasuredTable::decode_steps ? as_measured(DecodeRow{}) : as_measured(FitRow{});
}

std::vector<FitRow> last_steps(const std::vector<FitRow>& rows) {
  const auto series = [](const FitRow& row) {
    return std::tuple(row.teacher, row.student, row.start, row.cached, row.parameters, row.seed);
  };
  std::map<decltype(series(FitRow{})), int64_t> last;
  for (const auto& row : rows) last[series(row)] = std::max(last[series(row)], row.step);
  std::vector<FitRow> kept;
  for (const auto& row : rows)
    if (row.step == last[series(row)]) kept.push_back(row);
  return kept;
}

}  // namespace

std::optional<ColumnKind> column_kind(MeasuredTable table, const std::string& column) {
  if (table == MeasuredTable::conversions && column.starts_with(option_prefix)) return ColumnKind::text;
  const MeasuredRow row = empty_row(table);
  const FieldValue* value = find_field(row.fields, column);
  if (!value) return std::nullopt;
  return std::holds_alternative<double>(*value) ? ColumnKind::number : ColumnKind::text;
}

std::vector<std::string> column_names(MeasuredTable table) {
  std::vector<std::string> names;
  for (const auto& [name, value] : empty_row(table).fields) names.push_back(name);
  return names;
}

std::vector<std::string> number_columns(MeasuredTable table) {
  std::vector<std::string> names = column_names(table);
  std::erase_if(names, [&](const auto& name) { return column_kind(table, name) != ColumnKind::number; });
  return names;
}

double MeasuredRow::number(const std::string& column) const {
  const FieldValue* value = find_field(fields, column);
  const auto* number = value ? std::get_if<double>(value) : nullptr;
  return number ? *number : not_known;
}

std::string MeasuredRow::text(const std::string& column) const {
  const FieldValue* value = find_field(fields, column);
  const auto* text = value ? std::get_if<std::string>(value) : nullptr;
  return text ? *text : "";
}

std::string MeasuredRow::shown(const std::string& column) const {
  const double value = number(column);
  return std::isnan(value) ? text(column) : fmt::format("{}", value);
}

std::vector<MeasuredRow> rows_of(const Measurements& file, MeasuredTable table, bool all_steps) {
  if (table == MeasuredTable::conversions) return as_measured(file.conversions);
  if (table == MeasuredTable::decode_steps) return as_measured(file.decode_steps);
  if (table == MeasuredTable::served) return as_measured(file.served);
  if (table == MeasuredTable::caches) return as_measured(file.caches);
  return as_measured(all_steps ? file.fits : last_steps(file.fits));
}

bool admits(const ColumnFilter& filter, const MeasuredRow& row) {
  if (filter.relation.empty()) return fits_pattern(filter.text, row.text(filter.column));
  const double value = row.number(filter.column);
  if (filter.relation == "<") return value < filter.number;
  if (filter.relation == "<=") return value <= filter.number;
  if (filter.relation == ">") return value > filter.number;
  return filter.relation == ">=" ? value >= filter.number : value == filter.number;
}

bool admits(const std::vector<ColumnFilter>& filters, const MeasuredRow& row) {
  return std::all_of(filters.begin(), filters.end(), [&](const auto& filter) { return admits(filter, row); });
}

std::vector<std::string> split_patterns(const std::string& patterns) {
  if (patterns.empty()) return {""};
  std::vector<std::string> parts;
  std::istringstream list(patterns);
  for (std::string pattern; std::getline(list >> std::ws, pattern, ',');) {
    pattern.resize(pattern.find_last_not_of(' ') + 1);
    parts.push_back(pattern);
  }
  return parts;
}

bool fits_pattern(const std::string& patterns, const std::string& text) {
  const auto parts = split_patterns(patterns);
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
  });
}

}  // namespace attnlab
