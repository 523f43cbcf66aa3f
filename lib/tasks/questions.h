// The words in which each protocol asks a problem; they end where the reply begins. Wordings are those of the
// harnesses and papers named.
#pragma once

#include <string>

#include "tasks/problems.h"

namespace attnlab {

// lm_eval: gsm8k, gsm8k_cot, gsm8k_cot_zeroshot, hendrycks_math. A `…_solution` begins with the space between.
std::string gsm8k_question(const Problem& problem);
std::string gsm8k_solution(const Problem& problem);
std::string cot_question(const Problem& problem);
std::string cot_solution(const Problem& problem);
std::string cot_zeroshot_question(const Problem& problem);
std::string math_question(const Problem& problem);
std::string math_solution(const Problem& problem);
std::string worked_math_solution(const Problem& problem);  // the whole solution, with its \boxed answer

// A context and the question about it, in the words that training uses (data template `plain`).
std::string retrieval_question(const Problem& problem);

// HumanEval's prompt as it is, and inside lm_eval's humaneval_instruct (request and opened reply in one text).
std::string code_prompt(const Problem& problem);
std::string humaneval_instruct_question(const Problem& problem);

// lm_eval: mbpp, mbpp_instruct.
std::string mbpp_question(const Problem& problem);
std::string mbpp_solution(const Problem& problem);
std::string mbpp_instruct_question(const Problem& problem);
std::string mbpp_instruct_solution(const Problem& problem);
// bigcode: a docstring of the text and one test (InCoder; Fried et al. 2022).
std::string bigcode_mbpp_question(const Problem& problem);

// evalplus: the stripped prompt to go on with; and as the message of a user. MBPP has no prompt: a docstring of
// the text and one test stands for it.
std::string evalplus_base_question(const Problem& problem);
std::string evalplus_chat_question(const Problem& problem);

// Alpaca's template without input (Taori et al. 2023), as the first version of the TransMLA paper uses it. What
// it asks for code is not published: here HumanEval's prompt, or MBPP's text and tests.
std::string instruction_question(const Problem& problem);

}  // namespace attnlab
