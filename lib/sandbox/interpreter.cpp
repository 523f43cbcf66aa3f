#include "sandbox/interpreter.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "core/errors.h"
#include "sandbox/launch.h"

namespace attnlab {
namespace {

constexpr const char* kQuestion =
    "import os, sys\n"
    "print(os.path.realpath(sys.executable))\n"
    "print(os.path.realpath(sys.base_prefix))\n"
    "print(*sys.version_info[:2])\n";

}  // namespace

std::filesystem::path find_on_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::filesystem::path candidate = std::filesystem::path(folder.empty() ? "." : folder) / name;
    if (access(candidate.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(candidate))
      return std::filesystem::absolute(candidate);
  }
  return {};
}

Interpreter find_interpreter(const std::string& python, double seconds) {
  const std::string name = python.empty() ? "python3" : python;
  const std::filesystem::path program = find_on_path(name);
  if (program.empty()) throw RunError("Python is not installed: no " + name);
  const Finished answer = run_to_end(
      {.command = {program, "-I", "-S", "-c", kQuestion}, .descriptors = {}, .keep_environment = true},
      seconds);
  if (WIFSIGNALED(answer.status) && WTERMSIG(answer.status) == SIGKILL)
    throw RunError(program.string() + " gave no answer within " + std::to_string(static_cast<int>(seconds)) +
                   " s");
  std::istringstream lines(answer.output);
  std::string real, prefix;
  int major = 0, minor = 0;
  if (answer.status != 0 || !std::getline(lines, real) || !std::getline(lines, prefix) ||
      !(lines >> major >> minor))
    throw RunError(program.string() + " does not run: " + answer.errors);
  if (major != 3 || minor < 9)
    throw RunError(program.string() + " is Python " + std::to_string(major) + "." + std::to_string(minor) +
                   ", expected 3.9 or newer");
  return {real, prefix};
}

}  // namespace attnlab
