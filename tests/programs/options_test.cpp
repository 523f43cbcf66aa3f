// What experiments/program.h promises, through programs that are built on it.
#include "run_program.h"

namespace attnlab {

using test::check_refused;
using test::run_program;

TEST_CASE("help goes to standard output, with usage, options, defaults, example and exit codes") {
  for (const char* command : {"generate_data --help", "generate_data -h", "generate_data --count 3 --help"}) {
    const auto outcome = run_program(command);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    for (const char* text : {"Usage: generate_data --out FILE", "--count N (=1000)",
                             "Example: generate_data --kind", "Exit codes: 0 done"})
      CHECK_THAT(outcome.out, ContainsSubstring(text));
  }
}

TEST_CASE("the example in the help works") {
  const test::TemporaryFolder folder;
  const std::string help = run_program("generate_data --help").out;
  const auto begin = help.find("Example: ") + 9;
  std::string example = help.substr(begin, help.find('\n', begin) - begin);
  const auto file = example.rfind("train.jsonl");
  REQUIRE(file != std::string::npos);
  example.replace(file, std::string::npos, (folder.path() / "train.jsonl").string());
  CHECK(run_program(example).code == 0);
}

TEST_CASE("an unknown option names the nearest one, and nothing is guessed from a beginning") {
  check_refused("generate_data --cuont 3", "unknown option '--cuont'; did you mean '--count'?");
  check_refused("generate_data --coun 3", "unknown option '--coun'; did you mean '--count'?");
  check_refused("generate_data --colour=red", "unknown option '--colour' (see --help)");
  check_refused("generate_data --cuont=1234567890", "unknown option '--cuont'; did you mean '--count'?");
  check_refused("generate_data -x", "unknown option '-x'");
}

TEST_CASE("arguments without a name, missing and bad values are refused") {
  check_refused("generate_data stray", "'stray' without an option's name");
  check_refused("generate_data", "--out: found nothing, expected the file to write");
  check_refused("generate_data --count", "'--count' is missing");
  check_refused("generate_data --count x", "('x') for option '--count' is invalid");
  check_refused("generate_data --count 1 --count 2", "'--count' cannot be specified more than once");
  check_refused("generate_data --count 0 --out x", "--count: found 0, expected a whole number from 1");
  check_refused("generate_data --split tset --out x", "did you mean 'test'?");
}

TEST_CASE("output that cannot be written is code 1") {
  if (!std::filesystem::exists("/dev/full")) SKIP_TEST("no /dev/full");
  const std::string command = test::bin_dir().string() + "/generate_data --help >/dev/full 2>/dev/null";
  CHECK(WEXITSTATUS(std::system(command.c_str())) == 1);
}

}  // namespace attnlab
