// The eight worked examples of chain-of-thought prompting (Wei et al. 2022, arXiv 2201.11903, appendix G), in
// the wording of lm_eval's gsm8k_cot.
#pragma once

#include <vector>

#include "tasks/problems.h"

namespace attnlab {

// `question` and `answer` ("… The answer is 6.") are filled.
const std::vector<Problem>& eight_worked_examples();

}  // namespace attnlab
