// The example of lib/attention/README.md is the one that is compiled here.
#include "catch.h"
#include "core/files.h"

namespace attnlab::test {

TEST_CASE("the README's example of a variant is the text that is built and tested") {
  const std::string page = read_file(source_dir() / "lib" / "attention" / "README.md");
  for (const char* name :
       {"attention/mla_shared_kv.h", "attention/mla_shared_kv.cpp", "mla_shared_kv_test.cpp"}) {
    INFO("lib/attention/README.md must show tests/attention/example_variant/" << name << " as it stands");
    const std::string text = read_file(source_dir() / "tests" / "attention" / "example_variant" / name);
    CHECK(page.find("```cpp\n" + text + "```\n") != std::string::npos);
  }
}

}  // namespace attnlab::test
