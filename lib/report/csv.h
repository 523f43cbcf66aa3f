// Reading the numbers beside a figure.
#pragma once

#include <string_view>

#include "compare/grid.h"

namespace attnlab::report {

// The first line as titles, then at most `most_rows` lines; fields may be quoted (RFC 4180). Short lines are
// filled up with empty cells. `left_out`: how many lines follow.
Grid read_csv(std::string_view csv, size_t most_rows, size_t& left_out);

}  // namespace attnlab::report
