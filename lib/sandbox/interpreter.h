// The Python that runs inside the walls.
#pragma once

#include <filesystem>
#include <string>

namespace attnlab {

struct Interpreter {
  std::filesystem::path program;  // the real one, behind the links of a virtual environment
  std::filesystem::path prefix;   // where its standard library lies: PREFIX/lib
};

// The full path of a program on PATH; empty if there is none.
std::filesystem::path find_on_path(const std::string& name);

// `python` is a path or a name on PATH; empty: python3. Throws RunError: missing, no answer within so many
// seconds (many, as it may start while other programs have the cores), too old.
Interpreter find_interpreter(const std::string& python, double seconds = 120);

}  // namespace attnlab
