// Against what Hugging Face's tokenizers library makes of the same files and strings, and against what
// sentencepiece makes of its models.
#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "text/normalizer.h"
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

// A tokenizer.model against sentencepiece's own ids and texts. Returns the number of rows.
int check_sentencepiece(const Tokenizer& tokenizer, const std::filesystem::path& vectors) {
  std::ifstream file(vectors);
  int rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const auto row = nlohmann::json::parse(line);
    const auto ids = row.at("ids").get<Ids>();
    INFO("row " << rows << ": " << row.at("text").dump());
    CHECK(tokenizer.encode(row.at("text").get<std::string>()) == ids);
    CHECK(tokenizer.decode(ids, false) == row.at("decoded").get<std::string>());
  }
  return rows;
}

// A rank file against the tokenizer.json of the same vocabulary, on the strings that NFC leaves alone. Returns
// the number of rows.
int check_rank_file(const std::filesystem::path& ranks, const std::filesystem::path& folder) {
  const Tokenizer by_rank = Tokenizer::load(ranks);
  std::ifstream file(folder / "vectors.jsonl");
  int rows = 0;
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto text = row.at("text").get<std::string>();
    if (text::normalize_unicode(text, text::NormalForm::NFC) != text) continue;
    const auto ids = row.at("ids").get<Ids>();
    INFO(row.at("text").dump());
    CHECK(by_rank.encode(text) == ids);
    CHECK(by_rank.encode(text, true) == row.at("ids_with_special").get<Ids>());
    CHECK(by_rank.decode(ids, false) == row.at("decoded").get<std::string>());
    CHECK(by_rank.decode(ids, true) == row.at("decoded_skip_special").get<std::string>());
    ++rows;
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

TEST_CASE("sentencepiece models agree with sentencepiece") {
  const auto shared = test::shared_dir();
  for (const char* name : {"llama2", "mistral_v1"}) {
    const auto model = shared / "data" / "tokenizers" / (std::string(name) + ".sentencepiece.model");
    const auto vectors = shared / "fixtures" / "text" / name / "sentencepiece_vectors.jsonl";
    if (!std::filesystem::exists(model) || !std::filesystem::exists(vectors))
      SKIP_TEST("no reference data at " + model.string());
    const Tokenizer tokenizer = Tokenizer::load(model);
    CHECK(check_sentencepiece(tokenizer, vectors) >= 500);
    CHECK(tokenizer.vocab_size() == 32000);
    CHECK(tokenizer.bos_id() == 1);
    CHECK(tokenizer.eos_id() == 2);
    CHECK(tokenizer.encode("a", true).front() == 1);
  }
}

TEST_CASE("rank files agree with the tokenizer.json of their vocabulary") {
  const auto shared = test::shared_dir();
  const auto check = [&](const char* ranks, const char* folder) {
    const auto file = shared / "data" / "tokenizers" / ranks;
    return std::filesystem::exists(file) ? check_rank_file(file, shared / "fixtures" / "text" / folder) : -1;
  };
  const int llama3 = check("llama3.tiktoken", "llama3");
  if (llama3 < 0) SKIP_TEST("no reference data in " + shared.string());
  CHECK(llama3 >= 400);
  CHECK(check("qwen.tiktoken", "qwen25") >= 400);
}
