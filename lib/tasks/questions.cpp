#include "tasks/questions.h"

#include <algorithm>
#include <iterator>

#include "core/names.h"
#include "tasks/unicode.h"

namespace attnlab {
namespace {

// lm_eval shows the first three; the sanitised problems have more.
std::string test_lines(const Problem& problem) {
  const auto& all = problem.assertions;
  return join({all.begin(), all.begin() + std::min<std::ptrdiff_t>(3, std::ssize(all))}, "\n");
}

std::string docstring(const Problem& problem) {
  return "\"\"\"\n" + problem.question + "\n" + problem.assertions.at(0) + "\n\"\"\"\n";
}

std::string evalplus_prompt(const Problem& problem) {
  return stripped(problem.prompt.empty() ? docstring(problem) : problem.prompt);
}

}  // namespace

std::string gsm8k_question(const Problem& problem) { return "Question: " + problem.question + "\nAnswer:"; }
std::string gsm8k_solution(const Problem& problem) { return " " + problem.answer; }
std::string cot_question(const Problem& problem) { return "Q: " + problem.question + "\nA:"; }
std::string cot_solution(const Problem& problem) { return " " + problem.answer; }
std::string cot_zeroshot_question(const Problem& problem) {
  return cot_question(problem) + " Let's think step by step.";
}
std::string math_question(const Problem& problem) { return "Problem: " + problem.question + "\nAnswer:"; }
std::string math_solution(const Problem& problem) { return " " + problem.gold; }
std::string worked_math_solution(const Problem& problem) { return " " + problem.answer; }

std::string retrieval_question(const Problem& problem) {
  return "Question: " + problem.context + "\n" + problem.question + "\nAnswer: ";
}

std::string code_prompt(const Problem& problem) { return problem.prompt; }
std::string humaneval_instruct_question(const Problem& problem) {
  return "Write a solution to the following problem and make sure that it passes the tests:\n```python\n" +
         problem.prompt + "\n```\nHere is the completed function:\n```python\n" + problem.prompt + "\n";
}

std::string mbpp_question(const Problem& problem) {
  return "You are an expert Python programmer, and here is your task: " + problem.question +
         " Your code should pass these tests:\n\n" + test_lines(problem) + "\n[BEGIN]\n";
}
std::string mbpp_solution(const Problem& problem) { return problem.code + "\n[DONE]"; }
std::string mbpp_instruct_question(const Problem& problem) {
  return "You are an expert Python programmer, and here is your task:\n" + problem.question +
         "\nYour code should pass these tests:\n" + test_lines(problem) + "\n```python\n";
}
std::string mbpp_instruct_solution(const Problem& problem) { return problem.code + "\n```"; }
std::string bigcode_mbpp_question(const Problem& problem) { return docstring(problem); }

std::string evalplus_base_question(const Problem& problem) { return evalplus_prompt(problem) + "\n"; }
std::string evalplus_chat_question(const Problem& problem) {
  return "Please provide a self-contained Python script that solves the following problem in a markdown code "
         "block:\n```\n" +
         evalplus_prompt(problem) + "\n```\n";
}

std::string instruction_question(const Problem& problem) {
  std::string instruction = problem.question.empty() ? problem.prompt : problem.question;
  if (!problem.question.empty() && !problem.assertions.empty()) instruction += "\n" + test_lines(problem);
  return "Below is an instruction that describes a task. Write a response that appropriately completes the "
         "request.\n\n### Instruction:\n" +
         instruction + "\n\n### Response:";
}

}  // namespace attnlab
