// Components of tokenizer.json against Hugging Face's tokenizers library: stored vectors, and thousands of
// fresh ones where a Python with the library is found.
#include <map>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "text/tokenizer.h"

using namespace attnlab;
using nlohmann::json;
using Ids = std::vector<int64_t>;

namespace {

std::filesystem::path own_folder() { return test::source_dir() / "tests" / "text"; }

// Returns the number of strings compared.
int check_cases(const std::filesystem::path& file) {
  const json vectors = json::parse(read_file(file));
  int rows = 0;
  for (const json& component : vectors.at("cases")) {
    json changed = vectors.at("tokenizer");
    changed.update(component.at("components"));
    const Tokenizer tokenizer = Tokenizer::from_json(changed.dump());
    int wrong = 0;
    for (const json& row : component.at("rows")) {
      ++rows;
      const Ids expected = row.at(1).get<Ids>(), found = tokenizer.encode(row.at(0).get<std::string>());
      if (found == expected || ++wrong > 3) continue;
      INFO(component.at("name") << ": " << json(row.at(0)).dump(-1, ' ', true));
      CHECK(tokenizer.decode(found) == tokenizer.decode(expected));
      CHECK(found == expected);
    }
    INFO(component.at("name"));
    CHECK(wrong == 0);
  }
  return rows;
}

// A Python with the library: its own venv, or what is on the path; "" if there is none.
std::string python_with_tokenizers() {
  const char* named = std::getenv("ATTNLAB_PYTHON");
  const char* home = std::getenv("HOME");
  const std::string venv = std::string(home ? home : "/") + "/.cache/attnlab/venv/bin/python3";
  for (const std::string& candidate : {std::string(named ? named : ""), std::string("python3"), venv}) {
    const std::string test = "'" + candidate + "' -c 'import tokenizers' 2> /dev/null";
    if (!candidate.empty() && std::system(test.c_str()) == 0) return candidate;
  }
  return "";
}

}  // namespace

TEST_CASE("pre-tokenizers, normalizers and patterns cut as the tokenizers library does") {
  const auto file = own_folder() / "tokenizers_vectors.json";
  if (!std::filesystem::exists(file)) SKIP_TEST("ATTNLAB_SOURCE does not name the checkout");
  CHECK(check_cases(file) >= 300);
}

TEST_CASE("pre-tokenizers, normalizers and patterns cut thousands of fresh strings as the library does") {
  const std::string python = python_with_tokenizers();
  if (python.empty()) SKIP_TEST("no Python with the package tokenizers");
  const test::TemporaryFolder folder;
  const auto script = own_folder() / "tokenizers_vectors.py", out = folder.path() / "vectors.json";
  const std::string command = "'" + python + "' '" + script.string() + "' '" + out.string() + "' 400";
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(check_cases(out) >= 10000);
}
