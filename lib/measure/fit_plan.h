// Which forms fit_teacher fits to which teachers, at which learning rates, and the rows that follow.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "measure/teacher_fit.h"
#include "results/measurements.h"

namespace attnlab {

struct FitOptions {
  std::string out, teacher, device = "auto";
  int64_t seeds = 3, restarts = 3, threads = 0;
  std::vector<double> rates;  // candidates
  FitSetting setting;
};

// One student of one teacher.
struct FitPair {
  FitForm teacher, student;
  bool converted = false;    // the student is the teacher, converted: nothing is left to fit
  double rate = 0;           // of AdamW, the best of the candidates
  std::vector<FitRow> rows;  // all seeds; from the first start of each
  std::vector<double> best;  // by seed: the least error at the end, of all starts
  int64_t starts = 1;        // of each seed
};

// Hears steps done, and of how many. May throw to end the work.
using FitProgress = std::function<void(const std::string& what, int64_t done, int64_t of)>;

// Learning rates are compared on a seed of their own, each at full length. o.threads fits are under way at a
// time, each on one thread: results do not depend on the number.
std::vector<FitPair> fit_all(const FitOptions& o, const FitProgress& progress);

// What the rows do not say: sizes, rates, the best of all starts.
FlatFields facts_of(const FitOptions& o, const std::vector<FitPair>& pairs);

}  // namespace attnlab
