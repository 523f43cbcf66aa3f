// calibrate_cache as a user calls it, and generate_text with what it wrote.
#include "own_layout.h"
#include "run_program.h"

namespace attnlab::test {
namespace {

std::string small_base() { return (source_dir() / "data" / "base_small").string(); }

class CalibrateCall {
 public:
  CalibrateCall() {
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += "Tom has " + std::to_string(i % 37) + " apples and buys " + std::to_string(i % 11) + " more. ";
    write_file_atomic(path("text"), text);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string command(const std::string& more = "") const {
    return "calibrate_cache --device cpu --model '" + small_base() + "' --calibration '" + path("text") +
           "' --out '" + path("out") + "' --tokens 1024 --row-length 128" + more;
  }
  std::string generate(const std::string& cache) const {
    return "generate_text --device cpu --model '" + small_base() +
           "' --prompt 'Tom has' --max-new-tokens 8 --cache '" + cache + "'";
  }

 private:
  TemporaryFolder folder_;
};

TEST_CASE("calibrate_cache writes a file that generate_text codes its cache with") {
  const CalibrateCall call;
  const Ran outcome = run_program(call.command(" --bits 4"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("4 bits, 1 % outliers, from 1024 tokens"));
  const Ran text = run_program(call.generate("storage=kvquant,calibration=" + call.path("out")));
  INFO(text.err);
  CHECK(text.code == 0);
}

TEST_CASE("calibrate_cache refuses what it can't use, and writes nothing") {
  const CalibrateCall call;
  check_refused(call.command(" --bits 5"), "--bits: found 5, expected a whole number from 2 to 4");
  check_refused(call.command(" --outliers 0.5"), "--outliers: found 0.5");
  check_refused(call.command(" --first 127"), "--row-length");
  CHECK_FALSE(std::filesystem::exists(call.path("out")));
  check_refused(call.generate("storage=kvquant"), "kvquant has no levels without");
  check_refused(call.generate("storage=kvquant,calibration=" + call.path("text")), call.path("text"));
  check_refused(call.generate("storage=int4,group=5"), "group: found 5, expected a divisor");
}

}  // namespace
}  // namespace attnlab::test
