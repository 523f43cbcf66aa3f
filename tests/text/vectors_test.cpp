// Against what Hugging Face's tokenizers library makes of the same files and strings.
#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "text/tokenizer.h"

using namespace attnlab;
using Ids = std::vector<int64_t>;

namespace {

// The folder's tokenizer, unzipped where needed.
Tokenizer load(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "tokenizer.json")) return Tokenizer::load(folder);
  const test::TemporaryFolder temporary;
  const auto out = temporary.path() / "tokenizer.json";
  const std::string command =
      "gzip -dc '" + (folder / "tokenizer.json.gz").string() + "' > '" + out.string() + "'";
  REQUIRE(std::system(command.c_str()) == 0);
  return Tokenizer::load(temporary.path());
}

// Returns the number of rows compared.
int check_vectors(const std::filesystem::path& folder) {
  const Tokenizer tokenizer = load(folder);
  std::ifstream file(folder / "vectors.jsonl");
  int rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const auto row = nlohmann::json::parse(line);
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<Ids>();
    const auto with_special = row.at("ids_with_special").get<Ids>();
    INFO("row " << rows << ": " << row.at("text").dump());
    CHECK(tokenizer.encode(text) == ids);
    CHECK(tokenizer.encode(text, true) == with_special);
    if (row.contains("decoded")) CHECK(tokenizer.decode(ids, false) == row.at("decoded").get<std::string>());
    if (row.contains("decoded_skip_special"))
      CHECK(tokenizer.decode(ids, true) == row.at("decoded_skip_special").get<std::string>());
  }
  return rows;
}

}  // namespace

#define VECTORS_CASE(name, relative, least)                                                     \
  TEST_CASE(name) {                                                                             \
    const auto folder = test::shared_dir() / "fixtures" / relative;                             \
    if (!std::filesystem::exists(folder)) SKIP_TEST("no reference data at " + folder.string()); \
    CHECK(check_vectors(folder) >= least);                                                      \
  }

VECTORS_CASE("vectors of llama3 agree", "text/llama3", 500)
VECTORS_CASE("vectors of qwen25 agree", "text/qwen25", 500)
VECTORS_CASE("vectors of llama2 agree", "text/llama2", 500)
VECTORS_CASE("vectors of mistral_v1 agree", "text/mistral_v1", 500)
VECTORS_CASE("vectors of gemma_like agree", "text/gemma_like", 500)
VECTORS_CASE("vectors of stories260k agree", "stories260k", 20)
