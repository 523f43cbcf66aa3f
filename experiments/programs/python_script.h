// A Python script as a step of a program.
#pragma once

#include <string>
#include <vector>

namespace attnlab {

// The exit code of `python3 -c SCRIPT ARGUMENTS`; its output goes to the program's. ATTNLAB_PYTHON names
// another Python. Throws RunError if there is none.
int run_python(const std::string& script, const std::vector<std::string>& arguments = {});

}  // namespace attnlab
