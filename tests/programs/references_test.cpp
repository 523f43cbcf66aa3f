// The pages that follow from the programs are those that the programs would write today.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

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

// The names of "… expected one of a, b, c; …".
std::vector<std::string> expected_names(const std::string& message) {
  const size_t begin = message.find("one of ") + 7;
  std::istringstream names(message.substr(begin, message.find_first_of(";\n", begin) - begin));
  std::vector<std::string> found;
  for (std::string name; names >> name;) found.push_back(name.substr(0, name.find(',')));
  return found;
}

TEST_CASE("every top-level key of a config has its row in the reference") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "exp.yaml") << "no_such_key: 1\n";
  const auto keys =
      expected_names(run_program("run_ablation --config " + (folder.path() / "exp.yaml").string()).err);
  CHECK(keys.size() >= 10);
  const std::string page = run_program("run_ablation --help-config").out;
  const size_t top = page.find("## Top level"), end = page.find("\n## ", top);
  for (const auto& key : keys) {
    INFO(key);
    CHECK(page.find("\n| `" + key + "` |", top) < end);
  }
}

}  // namespace
}  // namespace attnlab::test
