// Where things lie inside a run file.
#pragma once

#include <string>

#include "results/hdf5.h"
#include "results/run_file.h"

namespace attnlab {

inline constexpr const char* run_format = "attnlab run 1";
inline constexpr int64_t message_bytes = 512;
inline constexpr int64_t most_text_bytes = 14000;  // a row of /problems must stay under 64 KB

// The tables that grow. Files of older versions have no `nonfinite`, those of runs without a teacher no
// `distillation`, those without eval.likelihoods no `likelihoods`; then it is not open.
struct RunTables {
  hdf5::Table train, evaluations, problems, nonfinite, distillation, likelihoods;
};

// Widths of prompt, gold, output, extracted.
std::vector<int64_t> problem_widths(const RunHeader& header);

// Writes header, empty tables and the status row into a new file; returns the tables.
RunTables write_layout(hid_t file, const RunHeader& header, const StatusRow& status);
RunTables open_tables(hid_t file);
hdf5::Table open_status(hid_t file);
// Of the table of problems the columns of AnswerRow.
hdf5::Table open_answers(hid_t file);
RunHeader read_header(hid_t file);
// What the file says it is; "" if it says nothing.
std::string read_format(hid_t file);

}  // namespace attnlab
