// A Python that can read run files.
#pragma once

#include <cstdlib>
#include <string>

namespace attnlab::test {

// The command of a Python with h5py; "" if there is none (then the test skips).
inline std::string python_with_h5py() {
  for (const char* candidate : {static_cast<const char*>(std::getenv("ATTNLAB_PYTHON")), "python3"})
    if (candidate && std::system((std::string(candidate) + " -c 'import h5py' 2>/dev/null").c_str()) == 0)
      return candidate;
  return "";
}

}  // namespace attnlab::test
