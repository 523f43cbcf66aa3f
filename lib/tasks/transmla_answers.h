// How the first version of the TransMLA paper (arXiv 2502.07864v1) reads replies. It trains and evaluates with
// the scripts of PiSSA (Meng et al. 2024; GraphPKU/PiSSA, test_acc.py and utils/code_process.py); these are our
// reading of their rules.
#pragma once

#include <string>
#include <string_view>

namespace attnlab {

// GSM8K: behind the last "The answer is: ", the first [-+]?\d*[.,/]?\d+, as a number rounded to a whole one
// (halves to even). Only one separator is read: "1,234,567" gives 1234; "3/4" gives 1; "$72" gives 72.
// kNoAnswer if there is none.
std::string rounded_answer(std::string_view reply);
// Equal as numbers; commas of the gold text count nothing.
bool same_rounded_number(const std::string& answer, const std::string& gold);

// MATH: behind the last "The answer is: " up to ".\n", stripped, without a "." at its end. Compared with
// math_equivalent. kNoAnswer if the words do not occur.
std::string math_answer_text(std::string_view reply);

// Code: without carriage returns; from the first "```python" on, if there is one, up to the next line that
// begins with "```"; cut at 'if __name__ == "__main__":', then at "# Example usage", then at the first
// "assert", wherever it stands; stripped after each cut.
std::string code_of_reply(std::string_view reply);

}  // namespace attnlab
