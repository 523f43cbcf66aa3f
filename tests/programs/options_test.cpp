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

namespace {

// The environment of a program that computes, while it does; `setting` is set before.
std::string environment_of_running(const std::string& setting) {
  const test::TemporaryFolder folder;
  const auto script = folder.path() / "watch.sh", seen = folder.path() / "seen";
  write_file_atomic(script, "unset OMP_NUM_THREADS OMP_WAIT_POLICY GOMP_SPINCOUNT\n" + setting + "\n" +
                                test::bin_dir().string() + "/fit_teacher --steps 100000 --threads 2 --out " +
                                (folder.path() / "fit.measured.h5").string() +
                                " >/dev/null 2>&1 &\n"
                                "for i in $(seq 400); do\n"
                                "  tr '\\0' '\\n' < /proc/$!/environ > " +
                                seen.string() +
                                " 2>/dev/null\n"
                                "  grep -q '^OMP_WAIT_POLICY=\\|^GOMP_SPINCOUNT=' " +
                                seen.string() +
                                " && break\n"
                                "  sleep 0.02\n"
                                "done\n"
                                "kill -9 $!\n");
  if (std::system(("sh " + script.string()).c_str()) == -1) return "";
  return read_file(seen);
}

}  // namespace

TEST_CASE("threads wait passively for each other, unless the environment says how") {
  CHECK_THAT(environment_of_running(""), ContainsSubstring("OMP_WAIT_POLICY=passive"));
  const auto own = environment_of_running("export GOMP_SPINCOUNT=5");
  CHECK_THAT(own, ContainsSubstring("GOMP_SPINCOUNT=5") && !ContainsSubstring("OMP_WAIT_POLICY"));
}

// By their sources, so that none is forgotten. inspect_model counts, and computes nothing.
TEST_CASE("every program that computes takes a number of threads") {
  size_t found = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(test::source_dir() / "experiments" / "programs")) {
    if (file.path().extension() != ".cpp") continue;
    const std::string name = file.path().stem().string(), source = read_file(file.path());
    if (source.find("torch_program.h") == std::string::npos || source.find("int main(") == std::string::npos ||
        name == "inspect_model")
      continue;
    ++found;
    INFO(name);
    CHECK_THAT(run_program(name + " --help").out, ContainsSubstring("--threads N"));
  }
  CHECK(found >= 13);
}

}  // namespace attnlab
