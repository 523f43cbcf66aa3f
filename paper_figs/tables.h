// The paper's tables (arXiv 2502.07864v5) with the numbers of the runs and measurements at hand, and how a
// table is written. Each says what the paper's has and ours lacks.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "figure.h"

namespace attnlab {

// Scores by arm, cache and tokens trained: the paper's table 1.
Figure table_1(const RunSet& runs);
// Settings of the training: its table 3. One table per sweep point.
Figure table_3(const RunSet& runs);
// Tokens per second by context and form: its table 4.
Figure table_4(const Measurements& measured);
// What the arms write to the same prompts: its table 5. One table per sweep point.
Figure table_5(const RunSet& runs);
// Every conversion that was measured, stage by stage.
Figure table_conversion(const Measurements& measured);

// Writes NAME.md, NAME.tex and NAME.csv into `folder` (made if needed), each whole or not at all, and returns
// the paths. Throws RunError if a file cannot be written.
std::vector<std::filesystem::path> write_table(const Table& table, const std::filesystem::path& folder);

// The values of a run file's config or provenance as texts; "" if the key is not there.
std::string text_of(const FlatFields& fields, const std::string& key);
// The same as a number; NaN if it is none.
double number_of(const FlatFields& fields, const std::string& key);
// "base_small", or "random weights".
std::string model_name(const RunHeader& header);

}  // namespace attnlab
