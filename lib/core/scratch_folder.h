// A folder for files that nobody keeps.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "core/errors.h"

namespace attnlab {

// Made in the system's folder for temporary files, and gone at the end of the scope. Throws RunError.
class ScratchFolder {
 public:
  // `name`: what its name begins with.
  explicit ScratchFolder(const std::string& name) {
    std::string pattern = (std::filesystem::temp_directory_path() / (name + "-XXXXXX")).string();
    if (!mkdtemp(pattern.data())) throw RunError(pattern + ": cannot make a temporary folder");
    path = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::filesystem::path path;
};

}  // namespace attnlab
