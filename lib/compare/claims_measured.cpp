#include "compare/claims_measured.h"

// Claims about what is measured without training: conversions, decoding steps, fits to a teacher, caches.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compare/claims_rules.h"
#include "compare/measured_table.h"
#include "core/progress.h"

namespace attnlab {
namespace {

// What tells rows of a table apart; a pair of rows agrees in all of it but the columns that `against` names.
std::vector<std::string> identity_of(MeasuredTable table) {
  if (table == MeasuredTable::conversions) return {"base", "form", "stage", "freqfold", "collapse", "rank"};
  if (table == MeasuredTable::decode_steps)
    return {"shape", "dtype", "device", "form", "context", "memory_limit", "found", "batch"};
  if (table == MeasuredTable::served)
    return {"shape", "dtype", "device", "form", "context", "memory_limit", "found", "requests", "batch"};
  if (table == MeasuredTable::caches)
    return {"study", "measure", "behind", "dtype", "device", "arm", "policy", "share", "storage", "settings"};
  return {"teacher", "student", "start", "seed", "step"};
}

// What makes a part of its own, of these: a model, a device, a teacher with its student, a task.
size_t place_columns(MeasuredTable table) {
  return table == MeasuredTable::conversions ? 1 : table == MeasuredTable::caches ? 2 : 3;
}

bool names(const std::vector<ColumnFilter>& filters, const std::string& column) {
  return std::any_of(filters.begin(), filters.end(),
                     [&](const ColumnFilter& filter) { return filter.column == column; });
}

std::string key_of(const MeasuredRow& row, const MeasuredTest& test) {
  std::string key;
  for (const auto& column : test.match) key += row.shown(column) + "|";
  if (!test.match.empty()) return key;
  for (const auto& column : identity_of(test.table))
    if (!names(test.against, column)) key += row.shown(column) + "|";
  if (names(test.against, "options")) return key;
  std::map<std::string, std::string> options;  // in whatever order they were written
  for (const auto& [column, value] : row.fields)
    if (column.starts_with("options.") && !names(test.against, column)) options[column] = row.text(column);
  for (const auto& [option, value] : options) key += option + "=" + value + "|";
  return key;
}

// One number of the claim, with the least and largest that it may be where its rows tell a range.
struct Observation {
  double seed = not_known;  // of fits
  double value = not_known, low = not_known, high = not_known;
};

// Of a difference a - b the ends that those of a and b make, as far as they are independent (MOVER: Zou and
// Donner 2008; of two proportions Newcombe's): a - b - √((a - low a)² + (high b - b)²), and the same upwards.
// Scores on the same problems go together, so that this is wide rather than narrow.
void add_ends(Observation& seen, const MeasuredRow& row, const MeasuredRow* other) {
  const auto distance = [](const MeasuredRow* of, const char* end) {
    return of ? std::abs(of->number(end) - of->number("value")) : 0.0;
  };
  seen.low = seen.value - std::hypot(distance(&row, "low"), distance(other, "high"));
  seen.high = seen.value + std::hypot(distance(&row, "high"), distance(other, "low"));
}

Observation observe(const MeasuredTest& test, const MeasuredRow& row, const MeasuredRow* other) {
  const auto combine = [&](const std::string& ours, const std::string& theirs) {
    const double a = row.number(ours), b = other ? other->number(theirs) : 0;
    return test.compare == Compare::ratio ? a / b : a - b;
  };
  Observation seen{.seed = row.number("seed"), .value = combine(test.value, test.value)};
  if (test.table == MeasuredTable::decode_steps && (test.value == "ms" || test.value == "tokens_per_second")) {
    seen.low = combine(test.value + "_min", test.value + "_max");
    seen.high = combine(test.value + "_max", test.value + "_min");
  }
  if (test.table == MeasuredTable::caches && test.value == "value" && test.compare != Compare::ratio)
    add_ends(seen, row, other);
  return seen;
}

struct Group {
  std::string place, scale;
  std::vector<Observation> observations;
};

std::string place_of(const Measurements& file, const MeasuredRow& row, const MeasuredTest& test) {
  std::string name = file.path.filename().string();
  if (name.ends_with(measurements_ending)) name.resize(name.size() - std::string(measurements_ending).size());
  const auto columns = identity_of(test.table);
  if (test.table == MeasuredTable::caches) return row.shown(columns[0]) + ", " + row.shown(columns[1]);
  for (size_t i = 0; i < place_columns(test.table); ++i)
    if (const std::string part = row.shown(columns[i]); !part.empty()) name += ", " + part;
  return name;
}

std::string scale_of(const MeasuredRow& row, MeasuredTable table) {
  if (table == MeasuredTable::fits)
    return fmt::format("one layer, {} parameters, {} cached numbers per token",
                       format_count(row.number("parameters")), row.number("cached"));
  if (table == MeasuredTable::caches) return row.text("arm") + ", " + row.text("device");
  return table == MeasuredTable::conversions ? row.text("base") : row.text("shape") + ", " + row.text("device");
}

// By key; of several rows the one that is hardest for the claim.
std::map<std::string, const MeasuredRow*> others_of(const std::vector<MeasuredRow>& rows,
                                                    const MeasuredTest& test) {
  std::map<std::string, const MeasuredRow*> others;
  if (test.compare == Compare::nothing) return others;
  for (const auto& row : rows) {
    if (!admits(test.against, row) || std::isnan(row.number(test.value))) continue;
    const auto [known, is_new] = others.emplace(key_of(row, test), &row);
    const double value = row.number(test.value), best = known->second->number(test.value);
    if (!is_new && (test.expect == Side::above ? value > best : value < best)) known->second = &row;
  }
  return others;
}

void add_rows(std::vector<Group>& groups, const Measurements& file, const MeasuredTest& test) {
  const auto rows = rows_of(file, test.table, names(test.where, "step"));
  const auto others = others_of(rows, test);
  for (const auto& row : rows) {
    if (!admits(test.where, row)) continue;
    const auto other = others.find(key_of(row, test));
    if (test.compare != Compare::nothing && other == others.end()) continue;
    const auto seen = observe(test, row, test.compare == Compare::nothing ? nullptr : other->second);
    if (std::isnan(seen.value)) continue;  // a step that did not fit into memory
    const std::string place = place_of(file, row, test);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.place == place; });
    if (group == groups.end())
      group = groups.insert(groups.end(), {.place = place, .scale = scale_of(row, test.table)});
    group->observations.push_back(seen);
  }
}

std::string shown(const std::vector<ColumnFilter>& filters) {
  std::vector<std::string> parts;
  for (const auto& filter : filters)
    parts.push_back(filter.column + (filter.relation.empty() || filter.relation == "=" ? " " : " ") +
                    filter.text);
  return join(parts);
}

std::string comparison_of(const MeasuredTest& test) {
  const std::string value = test.value + " (" + shown(test.where) + ")";
  if (test.compare == Compare::nothing) return value;
  return value + (test.compare == Compare::ratio ? " over (" : " minus (") + shown(test.against) + ")";
}

std::string unit_of(const MeasuredTest& test) {
  static const std::map<std::string, std::string> units{{"ms", "ms"},
                                                        {"ms_min", "ms"},
                                                        {"ms_max", "ms"},
                                                        {"floor_ms", "ms"},
                                                        {"tokens_per_second", "tokens per second"},
                                                        {"gigabytes", "GB"},
                                                        {"peak_gigabytes", "GB"},
                                                        {"kl", "nats per token"},
                                                        {"log_perplexity", "nats per token"},
                                                        {"perplexity", "perplexity"},
                                                        {"perplexity_base", "perplexity"},
                                                        {"perplexity_ratio", "times"},
                                                        {"cache_saved", "share"},
                                                        {"same_token", "share"},
                                                        {"max_logit_difference", "logits"},
                                                        {"cached", "numbers per token"},
                                                        {"cached_base", "numbers per token"},
                                                        {"error", "share"}};
  if (test.compare == Compare::ratio) return "times";
  const auto unit = units.find(test.value);
  return unit == units.end() ? "" : unit->second;
}

// Values over the seeds of fits: Student's interval.
void judge_seeds(ClaimResult& part, const MeasuredTest& test, const std::vector<Observation>& observations) {
  std::map<double, std::vector<double>> by_seed;
  for (const auto& seen : observations) by_seed[seen.seed].push_back(seen.value);
  std::vector<double> values;
  for (const auto& [seed, same] : by_seed) values.push_back(mean_and_error(same).mean);
  const PairedDifference found = paired_difference(values, std::vector<double>(values.size(), 0));
  part.effect = found.difference;
  part.seeds = part.effect.n;
  part.p = p_at_border(found, 1, region_of(test));
  if (test.compare != Compare::nothing) part.effect_size = found.effect_size;
  rule(part, part.effect, region_of(test));
  if (part.seeds < 2) part.why = "one seed tells nothing of the scatter over seeds";
}

// A number without chance in it, as an interval without width, or a time with its range.
Interval interval_of(const Observation& seen) {
  const bool range = seen.low <= seen.high;
  return {.value = seen.value,
          .low = range ? seen.low : seen.value,
          .high = range ? seen.high : seen.value,
          .n = 1};
}

void judge_single(ClaimResult& part, const MeasuredTest& test, const Observation& seen) {
  const bool range = seen.low <= seen.high;
  const Interval interval = interval_of(seen);
  rule(part, interval, region_of(test));
  part.effect = range ? interval : Interval{.value = seen.value, .n = 1};
  const std::string told = "the interval";
  if (part.why.starts_with(told))
    part.why.replace(0, told.size(),
                     test.table == MeasuredTable::caches ? "the interval"
                     : range                             ? "the range between the fastest and the slowest steps"
                                                         : "the number");
}

// All on the claimed side, all on the other, or some.
void judge_several(ClaimResult& part, const MeasuredTest& test, const std::vector<Observation>& observations) {
  std::map<ClaimVerdict, size_t> counts;
  std::vector<double> values;
  for (const auto& seen : observations) {
    ClaimResult judged;
    rule(judged, interval_of(seen), region_of(test));
    ++counts[judged.verdict];
    values.push_back(seen.value);
  }
  const size_t n = values.size();
  part.claimed_low = region_of(test).low;
  part.claimed_high = region_of(test).high;
  part.verdict = counts[ClaimVerdict::holds] == n           ? ClaimVerdict::holds
                 : counts[ClaimVerdict::does_not_hold] == n ? ClaimVerdict::does_not_hold
                                                            : ClaimVerdict::not_shown;
  part.effect = {.value = mean_and_error(values).mean, .n = static_cast<int64_t>(n)};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  part.why =
      fmt::format("of {} measurements {} {} {} {:.4g}; the number is their mean, they go from {:.4g} to {:.4g}",
                  n, counts[ClaimVerdict::holds], counts[ClaimVerdict::holds] == 1 ? "lies" : "lie",
                  name_of(test.expect), test.bound, *low, *high);
}

ClaimResult judge_group(const MeasuredTest& test, const Group& group) {
  ClaimResult part{.experiment = group.place,
                   .comparison = comparison_of(test),
                   .unit = unit_of(test),
                   .scale = group.scale};
  if (test.table == MeasuredTable::fits)
    judge_seeds(part, test, group.observations);
  else if (group.observations.size() == 1)
    judge_single(part, test, group.observations[0]);
  else
    judge_several(part, test, group.observations);
  return part;
}

}  // namespace

namespace {
// A study's models may have been measured at once, each into a file of its own: rows of all files are one
// table.
Measurements all_caches(const std::vector<Measurements>& measured) {
  Measurements all;
  for (const auto& file : measured) all.caches.insert(all.caches.end(), file.caches.begin(), file.caches.end());
  return all;
}
}  // namespace

std::vector<ClaimResult> judge(const MeasuredTest& test, const std::vector<Measurements>& measured) {
  std::vector<Group> groups;
  if (test.table == MeasuredTable::caches)
    add_rows(groups, all_caches(measured), test);
  else
    for (const auto& file : measured) add_rows(groups, file, test);
  std::vector<ClaimResult> parts;
  for (const auto& group : groups) parts.push_back(judge_group(test, group));
  if (parts.empty())
    parts.push_back({.experiment = std::string(name_of(test.table)),
                     .comparison = comparison_of(test),
                     .unit = unit_of(test),
                     .why = "no such rows were measured"});
  return parts;
}

}  // namespace attnlab
