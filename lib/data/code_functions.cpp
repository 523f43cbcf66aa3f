#include "data/code_functions.h"

#include <array>

#include "core/errors.h"
#include "data/code_draft.h"
#include "data/code_families.h"

namespace attnlab {
namespace {

constexpr std::array<CodeScale, 5> code_scales{{
    {.constant = 9, .length = 4, .low = 0, .high = 20, .compose = false, .compound = false},
    {.constant = 12, .length = 5, .low = 0, .high = 30, .compose = true, .compound = false},
    {.constant = 20, .length = 6, .low = -10, .high = 50, .compose = true, .compound = false},
    {.constant = 50, .length = 7, .low = -50, .high = 100, .compose = true, .compound = true},
    {.constant = 100, .length = 8, .low = -100, .high = 200, .compose = true, .compound = true},
}};

CodeDraft draw(Random& random, const CodeScale& scale) {
  const int64_t kind = random.between(0, 3);  // lists twice as often
  const auto& families = kind == 0 ? number_families() : kind == 1 ? text_families() : list_families();
  return random.pick(families)(random, scale);
}

CodeFunction write(const CodeDraft& draft, const std::string& task_id) {
  const std::string signature = "def " + draft.name + "(" + draft.parameters + "):\n";
  CodeFunction function{.task_id = task_id,
                        .entry_point = draft.name,
                        .text = "Write a function to return " + draft.result + "."};
  for (const std::string& line : draft.body) function.body += "    " + line + "\n";
  const auto& [argument, expected] = draft.cases.front();
  function.prompt = signature + "    \"\"\"Return " + draft.result + ".\n\n    >>> " + draft.name + "(" +
                    argument + ")\n    " + expected + "\n    \"\"\"\n";
  function.code = signature + function.body;
  for (size_t i = 1; i < draft.cases.size(); ++i)
    function.test_list.push_back("assert " + draft.name + "(" + draft.cases[i].first +
                                 ") == " + draft.cases[i].second);
  return function;
}

}  // namespace

CodeFunction code_function(uint64_t seed, Split split, int64_t index, int64_t difficulty) {
  ATTNLAB_CHECK(difficulty >= 1 && difficulty <= static_cast<int64_t>(code_scales.size()));
  const std::string stream = std::string(name_of(split)) + '/' + std::to_string(difficulty);
  Random random(seed ^ hash_name("code_function/" + stream), static_cast<uint64_t>(index));
  while (true) {
    const CodeDraft draft = draw(random, code_scales[static_cast<size_t>(difficulty - 1)]);
    const CodeFunction function = write(draft, "Generated/" + stream + '/' + std::to_string(index));
    if (split_of(function.text) == split) return function;
  }
}

}  // namespace attnlab
