// The families of generated functions, each in a file of its own.
#pragma once

#include <vector>

#include "data/code_draft.h"

namespace attnlab {

// About lists (code_lists.cpp), numbers (code_numbers.cpp), texts (code_texts.cpp).
const std::vector<CodeFamily>& list_families();
const std::vector<CodeFamily>& number_families();
const std::vector<CodeFamily>& text_families();

}  // namespace attnlab
