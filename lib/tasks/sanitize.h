// The program in a reply as evalplus finds it (Liu et al. 2023; evalplus 0.3.1): sanitize.py, run in the
// sandbox since Python's parser reads what a model wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/sandbox.h"
#include "tasks/problems.h"

namespace attnlab {

// Whether a reply goes on with the prompt's function: its first line that is not blank is indented by two
// spaces or more or by a tab, and opens no fence. Else it is a chat reply, with a program of its own.
bool continues_prompt(std::string_view reply);

// What sanitize reads: a chat reply as it is; a continuation behind the stripped prompt, cut at `stops` and
// with tabs as four spaces.
std::string sanitize_input(const Problem& problem, const std::string& reply, bool continuation,
                           const std::vector<std::string>& stops);

struct SanitizeInput {
  std::string code, entry_point;  // no entry point: every definition is kept
};

// The programs, in order; nothing where the parser failed or ran out of time.
std::vector<std::optional<std::string>> sanitize(Sandbox& sandbox, const std::vector<SanitizeInput>& inputs);

}  // namespace attnlab
