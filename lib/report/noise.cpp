// How much of a score is seed, data order, problem, sampling, numerics, prompt.
#include "compare/noise.h"

#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {

Html noise_section(const std::filesystem::path& folder) {
  if (folder.empty())
    return section(
        "noise", "Noise",
        paragraph("No folder of evaluations was given (--noise), so nothing is said of what scores vary by."));
  return section("noise", "Noise",
                 table_of(noise_grid(noise_components(folder)), "What a score varies by") +
                     element("p", {{"class", "note"}}, text(noise_note())));
}

}  // namespace attnlab::report
