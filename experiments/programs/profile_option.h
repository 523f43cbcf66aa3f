// --profile N: what takes the time of a step that a benchmark measures.
#pragma once

#include "program.h"

namespace attnlab {

// Adds --profile.
void add_profile_option(Program& program, int64_t& rows);
// Throws InputError.
void require_profile(int64_t rows);

}  // namespace attnlab
