// What a sandboxed process can see and use: bubblewrap's command line and the limits.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sandbox/interpreter.h"
#include "sandbox/launch.h"
#include "sandbox/sandbox.h"

namespace attnlab {

struct Walls {
  SandboxOptions options;
  std::filesystem::path bubblewrap;
  Interpreter python;
  bool as_nobody = false;                           // root becomes nobody before it builds the walls
  std::map<std::string, std::string> modules = {};  // the Python side, compiled by `python`: name → base64
};

// Finds the programs and tries the walls out. Throws RunError with what is missing and what to install.
Walls build_walls(const SandboxOptions& options);

// Inside, the channel is descriptor 3. bubblewrap itself reads 4 (the filter) and writes 5 (the process id).
constexpr int kChannel = 3, kFilter = 4, kInfo = 5;

// A Python that imports `module` of the Python side and calls its main(`arguments`). Descriptors are to be
// filled in.
Launch walled_python(const Walls& walls, const std::string& module, const std::string& arguments);

}  // namespace attnlab
