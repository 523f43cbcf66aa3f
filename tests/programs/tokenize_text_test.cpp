// tokenize_text as a user calls it: files in, files out, exit codes, one line for each mistake.
#include <sys/wait.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"

using namespace attnlab;
using nlohmann::json;

namespace {

// A tokenizer of single characters: "a" 0, "b" 1, "Ġ" (space) 2, <s> 3, put in front of texts.
json character_tokenizer() {
  const json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {{"added_tokens", {{{"id", 3}, {"content", "<s>"}, {"special", true}}}},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {bos, text}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {3}}, {"tokens", {"<s>"}}}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"Ġ", 2}}}, {"merges", json::array()}}}};
}

class TokenizeCall {
 public:
  TokenizeCall() { write_file_atomic(folder_.path() / "tokenizer.json", character_tokenizer().dump()); }

  // The exit code of tokenize_text on these lines.
  int run(const std::string& lines, const std::string& more = "") {
    write_file_atomic(path("in.jsonl"), lines);
    return run_with("--tokenizer '" + folder_.path().string() + "' --in '" + path("in.jsonl") + "' --out '" +
                    path("out.jsonl") + "' " + more);
  }
  int run_with(const std::string& options) {
    const std::string command = "'" + (test::bin_dir() / "tokenize_text").string() + "' " + options + " > '" +
                                path("stdout") + "' 2> '" + path("stderr") + "'";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string text(const std::string& name) const { return read_file(path(name)); }
  bool wrote() const {
    return std::filesystem::exists(path("out.jsonl")) || std::filesystem::exists(path("out.jsonl.tmp"));
  }

 private:
  test::TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("tokenize_text writes ids and their text for each line") {
  TokenizeCall call;
  REQUIRE(call.run("{\"text\": \"a b\"}\n{\"text\": \"\", \"id\": 7}\n{\"text\": \"b<s>\"}\n") == 0);
  CHECK(call.text("out.jsonl") ==
        "{\"ids\":[0,2,1],\"decoded\":\"a b\"}\n{\"ids\":[],\"decoded\":\"\"}\n"
        "{\"ids\":[1,3],\"decoded\":\"b<s>\"}\n");
  CHECK_THAT(call.text("stdout"), ContainsSubstring("3 lines, 7 bytes of text, 5 tokens"));
}

TEST_CASE("tokenize_text --special puts the tokenizer's own tokens around each text") {
  TokenizeCall call;
  REQUIRE(call.run("{\"text\": \"a\"}", "--special") == 0);
  CHECK(call.text("out.jsonl") == "{\"ids\":[3,0],\"decoded\":\"<s>a\"}\n");
}

TEST_CASE("tokenize_text on no lines writes none") {
  TokenizeCall call;
  REQUIRE(call.run("") == 0);
  CHECK(call.text("out.jsonl").empty());
}

TEST_CASE("tokenize_text reads byte order marks, blank lines, Windows' line ends and JSON arrays") {
  TokenizeCall call;
  const std::string expected = "{\"ids\":[0],\"decoded\":\"a\"}\n{\"ids\":[1],\"decoded\":\"b\"}\n";
  REQUIRE(call.run("\xEF\xBB\xBF{\"text\":\"a\"}\r\n\r\n  \n{\"text\":\"b\"}\r\n") == 0);
  CHECK(call.text("out.jsonl") == expected);
  REQUIRE(call.run("[\n {\"text\": \"a\"},\n {\"text\": \"b\"}\n]\n") == 0);
  CHECK(call.text("out.jsonl") == expected);
}

TEST_CASE("tokenize_text names the line and key of what is wrong and writes nothing") {
  TokenizeCall call;
  const auto refused = [&](const std::string& lines, const std::string& message) {
    INFO(lines);
    CHECK(call.run(lines) == 2);
    CHECK_THAT(call.text("stderr"), ContainsSubstring("in.jsonl:") && ContainsSubstring(message));
    CHECK_FALSE(call.wrote());
  };
  refused("{\"text\": \"a\"}\n{\"text\": \"a\"\n", ":2: found malformed JSON");
  refused("{\"txt\": \"a\"}\n",
          ":1: text: found no such key (there are: txt) (did you mean 'txt'?), expected a string");
  refused("{\"text\": 3}\n", ":1: text: found number, expected a string");
  refused("{\"text\": null}\n", ":1: text: found null, expected a string");
  refused("{\"text\": \"a\", \"text\": \"b\"}\n", ":1: text: found the key twice");
  refused("{\"text\": \"a\", \"n\": 1e999}\n", ":1: found 1e999, a number that no double holds");
  refused("[\"a\"]\n", ":1: found string");
  refused("{\"text\": \"\xFF\"}\n", ":1: found malformed JSON");
}

TEST_CASE("tokenize_text refuses files and options that are not there") {
  TokenizeCall call;
  const std::string out = " --out '" + call.path("out.jsonl") + "'";
  const std::string tokenizer = "--tokenizer '" + call.path("tokenizer.json") + "'";
  CHECK(call.run_with(tokenizer + out) == 2);
  CHECK_THAT(call.text("stderr"), ContainsSubstring("--in"));
  CHECK(call.run_with(tokenizer + out + " --in '" + call.path("nowhere") + "'") == 2);
  CHECK_THAT(call.text("stderr"), ContainsSubstring("nowhere"));
  CHECK(call.run_with("--tokenizer '" + call.path("nowhere") + "' --in /dev/null" + out) == 2);
  CHECK_THAT(call.text("stderr"), ContainsSubstring("nowhere"));
  CHECK(call.run_with("--tokeniser x") == 2);
  CHECK_THAT(call.text("stderr"), ContainsSubstring("tokenizer"));
  CHECK_FALSE(call.wrote());
  CHECK(call.run_with("--help") == 0);
  CHECK_THAT(call.text("stdout"), ContainsSubstring("--special"));
}

// The data are the reference vectors of tests/text/vectors_test.cpp.
TEST_CASE("tokenize_text agrees with the reference on a whole file") {
  const auto shared = test::shared_dir();
  const auto model = shared / "data" / "tokenizers" / "llama2.sentencepiece.model";
  const auto vectors = shared / "fixtures" / "text" / "llama2" / "sentencepiece_vectors.jsonl";
  if (!std::filesystem::exists(model)) SKIP_TEST("no reference data at " + model.string());
  TokenizeCall call;
  REQUIRE(call.run_with("--tokenizer '" + model.string() + "' --in '" + vectors.string() + "' --out '" +
                        call.path("out.jsonl") + "'") == 0);
  std::ifstream expected(vectors), found(call.path("out.jsonl"));
  int rows = 0;
  for (std::string want, line; std::getline(expected, want); ++rows) {
    REQUIRE(std::getline(found, line));
    const json a = json::parse(want), b = json::parse(line);
    CHECK(a.at("ids") == b.at("ids"));
    CHECK(a.at("decoded") == b.at("decoded"));
  }
  CHECK(rows >= 500);
}
