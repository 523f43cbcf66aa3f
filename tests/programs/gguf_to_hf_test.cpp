// scripts/gguf_to_hf.py on files that the package gguf writes, read by the programs. Skipped where it has not
// been installed.
#include "catch.h"
#include "python.h"

using namespace attnlab;

namespace {

// A Python that has gguf: the script's own, or another one; empty: none.
std::string python_with_gguf() {
  const char* home = std::getenv("HOME");
  const std::filesystem::path usual = std::filesystem::path(home ? home : "/") / ".cache/attnlab/gguf";
  const auto own = (test::from_environment("ATTNLAB_GGUF", usual.c_str()) / "bin/python3").string();
  if (std::system(("'" + own + "' -c 'import gguf' 2> /dev/null").c_str()) == 0) return own;
  return test::python_with("gguf");
}

}  // namespace

TEST_CASE("files of llama.cpp become folders that programs read") {
  const std::string python = python_with_gguf();
  if (python.empty()) SKIP_TEST("no Python with gguf");
  const std::string script = (test::source_dir() / "tests/programs/gguf_to_hf_test.py").string();
  const std::string converter = (test::source_dir() / "scripts/gguf_to_hf.py").string();
  CHECK(std::system(("'" + python + "' '" + script + "' '" + test::bin_dir().string() + "' '" + converter + "'")
                        .c_str()) == 0);
}
