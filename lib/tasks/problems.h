// Problems whose replies are texts or programs, read from the files that their authors publish.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace attnlab {

// Members that a task has no use for are empty.
struct Problem {
  std::string id;        // task_id; where the data have none, the index in the file, from 0
  std::string question;  // GSM8K's question, MATH's problem, MBPP's text
  std::string context;   // what the question is about, where it stands apart (retrieval)
  std::string answer;    // GSM8K's worked answer, MATH's solution
  std::string gold;      // its final answer: behind the last "####", stripped; inside the last \boxed; numbers
                         // with commas between them (retrieval)
  std::string prompt;    // the program's beginning, which the reply continues (HumanEval)
  std::string code;      // a right program (MBPP), or the rest of one (HumanEval)
  std::vector<std::string> assertions;  // MBPP's test_list
  std::string tests;                    // what runs after the program
  std::string entry_point;              // the function asked for; empty if the data don't tell
  bool calls_check = false;             // the tests define check(entry_point) (HumanEval)
};

// Reads a task of kind `answer` or `code`. Files are JSONL or one JSON array, perhaps gzipped:
//   gsm8k*, word_problems  {question, answer}, the answer ending in "#### N"
//   math                   {problem, solution}, the solution with a \boxed answer
//   humaneval              {task_id, prompt, entry_point, test, canonical_solution}
//   mbpp                   {task_id, text or prompt, code, test_list, test_imports}. test_setup_code is not
//   run,
//                          as in lm_eval and bigcode.
//   passkey, key_values, variable_trace  {question, answer} as generate_data writes them
//   code_functions         {task_id, prompt, entry_point, test_list, canonical_solution}
// Throws InputError with file, line and key; also for an id that repeats.
std::vector<Problem> read_problems(Task task, const std::filesystem::path& path);

// MBPP's files hold all splits: the test split has the ids 11 to 510. Elsewhere every problem is a test.
bool is_test_problem(Task task, const Problem& problem);
// MBPP's training split has the ids 601 to 974. Elsewhere every problem of a training file is one.
bool is_training_problem(Task task, const Problem& problem);

}  // namespace attnlab
