// The pages that follow from the programs are those that the programs would write today.
#include <cstdlib>
#include <fstream>

#include "run_program.h"

namespace attnlab::test {
namespace {

// What scripts/write_references.sh --check says of the checkout in `root`.
Ran check_references(const std::filesystem::path& root) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out", err = folder.path() / "err";
  const std::string command = (root / "scripts/write_references.sh").string() + " --check --bin " +
                              bin_dir().string() + " >" + out.string() + " 2>" + err.string();
  const int status = std::system(command.c_str());
  return {.code = WEXITSTATUS(status), .out = read_file(out), .err = read_file(err)};
}

// The parts of the checkout that the script reads.
void copy_checkout(const std::filesystem::path& to) {
  const auto all = std::filesystem::copy_options::recursive;
  for (const char* part : {"scripts", "experiments", "paper_figs"})
    std::filesystem::copy(source_dir() / part, to / part, all);
}

TEST_CASE("experiments/CONFIG.md and experiments/programs/README.md are what the programs say") {
  const Ran outcome = check_references(source_dir());
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
}

TEST_CASE("a page that says something else is found stale, and stays as it is") {
  const TemporaryFolder folder;
  copy_checkout(folder.path());
  const auto page = folder.path() / "experiments/CONFIG.md";
  std::ofstream(page, std::ios::app) << "| `stpes` | | | | |\n";
  const std::string before = read_file(page);
  const Ran outcome = check_references(folder.path());
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, ContainsSubstring("stpes") && ContainsSubstring("CONFIG.md is stale"));
  CHECK(read_file(page) == before);
}

TEST_CASE("every top-level key of a config has its row in the reference, and every row is a key") {
  const TemporaryFolder folder;
  const auto config = folder.path() / "exp.yaml";
  std::ofstream(config) << "no_such_key: 1\n";
  const auto said = run_program("run_ablation --config " + config.string()).err;
  const std::string page = run_program("run_ablation --help-config").out;
  const size_t top = page.find("## Top level"), end = page.find("\n## ", top);
  int64_t rows = 0;
  for (size_t row = page.find("\n| `", top); row < end; row = page.find("\n| `", row + 1), ++rows) {
    const std::string key = page.substr(row + 4, page.find('`', row + 4) - row - 4);
    INFO(key);
    std::ofstream(config) << key << ": 1\n";
    CHECK(run_program("run_ablation --config " + config.string()).err.find("unknown key") == std::string::npos);
  }
  INFO(said);
  REQUIRE(rows > 5);
  CHECK_THAT(said, ContainsSubstring(" and " + std::to_string(rows - 5) + " more"));
}

}  // namespace
}  // namespace attnlab::test
