// Generation in rows of fixed places (row_batch.h).
#pragma once

#include "model/generate.h"

namespace attnlab {

// Why these prompts can't go so, if so.
std::optional<std::string> rows_problem(const Decoder& decoder,
                                        const std::vector<std::vector<int64_t>>& prompts,
                                        const GenerateOptions& options);

// What `generate` gives (generate.h), for prompts without such a problem.
std::vector<std::vector<int64_t>> generate_in_rows(Decoder& decoder,
                                                   const std::vector<std::vector<int64_t>>& prompts,
                                                   const GenerateOptions& options);

}  // namespace attnlab
