// The report: one HTML page that needs nothing but itself.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compare/claims.h"
#include "results/measurements.h"
#include "results/run_reader.h"

namespace attnlab {

struct ReportInput {
  std::string title;            // "": made of the experiments' names
  std::vector<RunRecord> runs;  // with problems, for the samples
  std::vector<Measurements> measured;
  std::optional<std::vector<ClaimResult>> claims;  // none: no claims were asked for
  std::filesystem::path noise;                     // folder of noise_certificate; "": none
  std::filesystem::path figures;                   // folder with NAME.svg and NAME.csv; "": none
};

// The page. Equal input gives equal bytes. Task evaluations are read from beside the runs' files. Throws
// InputError if `figures` is no folder, and what reading evaluations throws.
std::string make_report(ReportInput input);

}  // namespace attnlab
