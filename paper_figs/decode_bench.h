// What bench_decode and bench_serve measured of one shape on one device, as decode_speedup draws it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "results/measurements.h"

namespace attnlab {

using SpeedupPlace = std::tuple<std::string, int64_t, int64_t>;  // form, batch, context
using MemoryPlace = std::tuple<std::string, double, int64_t>;    // form, GiB (0: all), context

// A measurement at the batch that fits into a memory.
struct Fullest {
  int64_t batch = 0;
  double tokens_per_second = 0;
};
using ByMemory = std::map<MemoryPlace, Fullest>;

// What fits; of what was measured twice the last counts.
struct DecodeBench {
  std::map<SpeedupPlace, DecodeRow> rows;  // at given batches
  ByMemory steps, served;                  // at the largest that fit
  std::vector<std::string> forms{"gqa"};
  std::set<int64_t> batches, contexts;
};

DecodeBench bench_of(const std::vector<DecodeRow>& steps, const std::vector<ServeRow>& served);

double tokens_per_second(const DecodeRow& row);
// Context → time of gqa over time of `form`, where both fit.
std::map<int64_t, double> speedup(const DecodeBench& bench, const std::string& form, int64_t batch);
// Context → tokens per second over those of gqa in the same memory.
std::map<int64_t, double> gain(const ByMemory& measured, const std::string& form, double memory);
// Caps ascend; the whole card (0) comes last.
std::vector<double> memories(const ByMemory& measured);

// GiB → context → MLA's tokens per second over MHA's in arXiv 2502.07864v5, table 4: vLLM, 100 requests of
// half the context, as many tokens written, prompts counted, on three cards. At 24 GB 16K does not fit.
const std::map<double, std::map<int64_t, double>>& paper_by_memory();

}  // namespace attnlab
