// What of a reply counts as the program: the cuts of lm_eval's instruct tasks.
#pragma once

#include <string>
#include <string_view>

namespace attnlab {

// humaneval_instruct, whose prompt ends inside a fence: what stands before the first "```".
std::string before_fence(std::string_view reply);

// mbpp_instruct: with "```" put in front, the first "```(\w+)?\n?(…)\n?```". The word is lost even if it is the
// program's own: "def f(x): …" loses its "def". No closing fence: the empty program.
std::string first_fenced(std::string_view reply);

}  // namespace attnlab
