// Where arms are compared with each other: the finished runs of one experiment at one sweep point.
#pragma once

#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

struct Place {
  std::string experiment, sweep_point;
  std::vector<RunRecord> runs;  // without their problems
  // "gsm8k_small, lr=1e-3"
  std::string name() const { return sweep_point.empty() ? experiment : experiment + ", " + sweep_point; }
  // nullptr: no run of that arm.
  const RunRecord* first(const std::string& arm) const;
};

// The places whose names fit the patterns (fits_pattern), in the order of their first runs. Unfinished runs,
// and those that chose a learning rate, are left out; of several runs with the same arm and seed the first is
// taken.
std::vector<Place> places_of(const std::vector<RunRecord>& runs, const std::string& experiment,
                             const std::string& sweep_point);

// "" if there are runs of all these arms; else a sentence that names what is not there, and what is.
std::string arm_lacking(const Place& place, const std::vector<std::string>& arms);

// The runs of these arms alone; with `same_seeds` only of seeds that all of them have.
Place with_arms(const Place& place, const std::vector<std::string>& arms, bool same_seeds);

// "2.70M parameters, 204.80k tokens, NVIDIA H200": the most of each, and all devices.
std::string scale_of(const Place& place);

// A number of the conversion report (group /conversion), NaN if it is not there.
double conversion_number(const RunRecord& run, const std::string& key);

}  // namespace attnlab
