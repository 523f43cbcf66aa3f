// Catch2 2 (Debian 12) and 3 (Ubuntu 24.04) behind one include, and what all tests share.
#pragma once

#if ATTNLAB_CATCH2 >= 3  // what CMake found; another one may lie on the include path
#include <catch2/catch_all.hpp>
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>
inline auto ContainsSubstring(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

// Ends a test case that cannot run here, saying why; ctest reports it as skipped.
#define SKIP_TEST(reason)                                      \
  do {                                                         \
    std::printf("SKIPPED: %s\n", std::string(reason).c_str()); \
    SUCCEED("skipped");                                        \
    return;                                                    \
  } while (false)

namespace attnlab::test {

inline std::filesystem::path from_environment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value ? value : fallback;
}
// The checkout.
inline std::filesystem::path source_dir() { return from_environment("ATTNLAB_SOURCE", "."); }
// Where programs land: beside the test program.
inline std::filesystem::path bin_dir() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }
// Reference data made by other software, beside the checkout; tests that need it skip where it is absent.
inline std::filesystem::path shared_dir() { return source_dir().parent_path() / "shared"; }

// A fresh folder that is removed at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "attnlab-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace attnlab::test
