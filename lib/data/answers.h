// Final answers of word problems.
#pragma once

#include <string>
#include <string_view>

namespace attnlab {

// The number behind the first "#### " of a solution: "#### $1,234." gives "1234". Empty if there is none.
std::string extract_answer(std::string_view output);

// Whether two extracted answers are the same number as text: "072", "72.00" and "72" are. An empty answer
// matches nothing.
bool exact_match(std::string_view extracted, std::string_view gold);

}  // namespace attnlab
