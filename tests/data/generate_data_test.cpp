#include <nlohmann/json.hpp>
#include <sstream>

#include "catch.h"
#include "core/files.h"
#include "data/word_problems.h"

using namespace attnlab;

namespace {

int generate(const std::string& arguments, const std::filesystem::path& log) {
  const std::string program = (test::bin_dir() / "generate_data").string();
  const int status = std::system((program + " " + arguments + " >" + log.string() + " 2>&1").c_str());
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("generate_data writes the forms of GSM8K and MBPP") {
  const test::TemporaryFolder folder;
  const auto out = folder.path() / "out.jsonl", log = folder.path() / "log";
  REQUIRE(
      generate("--split test --seed 4 --count 3 --difficulty-min 2 --difficulty-max 2 --out " + out.string(),
               log) == 0);
  std::istringstream lines(read_file(out));
  std::string line;
  for (int64_t i = 0; std::getline(lines, line); ++i) {
    const auto row = nlohmann::json::parse(line);
    CHECK(row["question"] == word_problem(4, Split::test, i, 2).question);
    CHECK(row["answer"] == word_problem(4, Split::test, i, 2).answer);
  }
  REQUIRE(generate("--kind code_functions --count 2 --out " + out.string(), log) == 0);
  const auto row = nlohmann::json::parse(read_file(out).substr(0, read_file(out).find('\n')));
  for (const char* key :
       {"task_id", "text", "code", "test_list", "prompt", "canonical_solution", "entry_point"})
    CHECK(row.contains(key));
}

TEST_CASE("generate_data refuses bad options in one line and writes nothing") {
  const test::TemporaryFolder folder;
  const auto out = folder.path() / "out.jsonl", log = folder.path() / "log";
  for (const char* bad : {"--kind word_problem", "--split tset", "--count 0", "--count x", "--difficulty-max 6",
                          "--difficulty-min 3 --difficulty-max 2", "--seed -1", "--colour red", "stray"}) {
    INFO(bad);
    CHECK(generate("--out " + out.string() + " " + bad, log) == 2);
    const std::string message = read_file(log);
    CHECK(std::count(message.begin(), message.end(), '\n') == 1);
    CHECK_FALSE(std::filesystem::exists(out));
  }
  CHECK(generate("--kind words", log) == 2);
  CHECK(generate("--help", log) == 0);
  CHECK_THAT(read_file(log), ContainsSubstring("Example: generate_data"));
}
