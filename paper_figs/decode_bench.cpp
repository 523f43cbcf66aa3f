#include "decode_bench.h"

#include <algorithm>

namespace attnlab {
namespace {

template <class Row>
void note_place(DecodeBench& bench, const Row& row) {
  if (std::find(bench.forms.begin(), bench.forms.end(), row.form) == bench.forms.end())
    bench.forms.push_back(row.form);
  bench.contexts.insert(row.context);
}

}  // namespace

double tokens_per_second(const DecodeRow& row) { return 1000 * static_cast<double>(row.batch) / row.ms; }

DecodeBench bench_of(const std::vector<DecodeRow>& steps, const std::vector<ServeRow>& served) {
  DecodeBench bench;
  for (const auto& row : steps) {
    if (row.fits == 0 || !(row.ms > 0)) continue;
    note_place(bench, row);
    if (row.found == 1) {
      bench.steps[{row.form, row.memory_limit, row.context}] = {row.batch, tokens_per_second(row)};
    } else if (row.memory_limit == 0) {
      bench.rows[{row.form, row.batch, row.context}] = row;
      bench.batches.insert(row.batch);
    }
  }
  for (const auto& row : served) {
    if (row.fits == 0 || row.found == 0) continue;
    note_place(bench, row);
    bench.served[{row.form, row.memory_limit, row.context}] = {row.batch, row.tokens_per_second};
  }
  return bench;
}

std::map<int64_t, double> speedup(const DecodeBench& bench, const std::string& form, int64_t batch) {
  std::map<int64_t, double> curve;
  for (const int64_t context : bench.contexts) {
    const auto ours = bench.rows.find({form, batch, context}), gqa = bench.rows.find({"gqa", batch, context});
    if (ours != bench.rows.end() && gqa != bench.rows.end()) curve[context] = gqa->second.ms / ours->second.ms;
  }
  return curve;
}

std::map<int64_t, double> gain(const ByMemory& measured, const std::string& form, double memory) {
  std::map<int64_t, double> curve;
  for (const auto& [place, ours] : measured) {
    if (std::get<0>(place) != form || std::get<1>(place) != memory) continue;
    const auto gqa = measured.find({"gqa", memory, std::get<2>(place)});
    if (gqa != measured.end())
      curve[std::get<2>(place)] = ours.tokens_per_second / gqa->second.tokens_per_second;
  }
  return curve;
}

std::vector<double> memories(const ByMemory& measured) {
  std::set<double> all;
  for (const auto& [place, row] : measured) all.insert(std::get<1>(place));
  std::vector<double> ordered(all.begin(), all.end());
  if (!ordered.empty() && ordered.front() == 0)
    std::rotate(ordered.begin(), ordered.begin() + 1, ordered.end());
  return ordered;
}

const std::map<double, std::map<int64_t, double>>& paper_by_memory() {
  static const std::map<double, std::map<int64_t, double>> times{
      {24, {{1024, 4.7}, {4096, 7.6}, {8192, 9.7}}},
      {40, {{1024, 2.6}, {4096, 4.4}, {8192, 5.1}, {16384, 5.4}}},
      {64, {{1024, 1.4}, {4096, 2.3}, {8192, 4.0}, {16384, 4.3}}}};
  return times;
}

}  // namespace attnlab
