// The page's sections, each in a file of its own. A section without data says so in a sentence.
#pragma once

#include <filesystem>
#include <vector>

#include "compare/claims.h"
#include "report/html.h"
#include "report/run_groups.h"
#include "results/measurements.h"

namespace attnlab::report {

using Experiments = std::vector<Experiment>;

// What was compared: experiments, arms, seeds, devices, dates.
Html head_section(const Experiments& experiments, const std::vector<Measurements>& measured);
// Null: no claims were asked for.
Html claims_section(const std::vector<ClaimResult>* claims);
// Tables of arms by their losses and by their tasks.
Html verdicts_section(const Experiments& experiments);
Html curves_section(const Experiments& experiments);
// Problems that some arms solve and others don't, with their replies.
Html samples_section(const Experiments& experiments);
// What a score varies by (compare/noise.h); "": no folder was given.
Html noise_section(const std::filesystem::path& folder);
Html measurements_section(const std::vector<Measurements>& measured);
// Pictures of a folder with the numbers in them; "": no folder was given. Throws InputError if it is none.
Html figures_section(const std::filesystem::path& folder);
// Configs and where the runs come from.
Html provenance_section(const Experiments& experiments, const std::vector<Measurements>& measured);

}  // namespace attnlab::report
