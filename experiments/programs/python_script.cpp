#include "python_script.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "core/errors.h"

namespace attnlab {

int run_python(const std::string& script, const std::vector<std::string>& arguments) {
  const char* named = std::getenv("ATTNLAB_PYTHON");
  std::vector<std::string> words{named && *named ? named : "python3", "-c", script};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
    throw RunError(words[0] + " cannot be started: install Python 3, or name one in ATTNLAB_PYTHON");
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace attnlab
