// A Python with the packages that a test needs.
#pragma once

#include <cstdlib>
#include <string>

namespace attnlab::test {

// The command of a Python that imports these packages ("torch, transformers"); "" if there is none (then the
// test skips). Looked at: $ATTNLAB_PYTHON, the one that torch was installed for, python3.
inline std::string python_with(const std::string& packages) {
  const char* home = std::getenv("HOME");
  const std::string own = std::string(home ? home : "") + "/.cache/attnlab/venv/bin/python";
  for (const char* candidate :
       {static_cast<const char*>(std::getenv("ATTNLAB_PYTHON")), own.c_str(), "python3"})
    if (candidate &&
        std::system((std::string(candidate) + " -c 'import " + packages + "' 2>/dev/null").c_str()) == 0)
      return candidate;
  return "";
}

inline std::string python_with_h5py() { return python_with("h5py"); }

}  // namespace attnlab::test
