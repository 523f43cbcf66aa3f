// Each reader of a user's files, given what it cannot take: one line with the file, what was found and what was
// expected, exit code 2, and nothing written.
#include <algorithm>
#include <functional>
#include <map>

#include "run_program.h"

namespace attnlab::test {
namespace {

namespace fs = std::filesystem;

const std::string kTokenizer =
    R"({"added_tokens": [{"id": 2, "content": "<s>", "special": true}],
 "decoder": {"type": "ByteLevel"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})";

// A file that a reader takes, beside which every bad one is put.
struct Reader {
  std::string name;     // of the file
  std::string good;     // that passes; it ends in a bracket, for what is JSON
  std::string command;  // FOLDER stands for the folder, FILE for the file
  bool is_json = true;
  std::map<std::string, std::string> beside = {};  // other files of the folder
};

const std::string kTexts = "{\"text\": \"ab\"}", kProblem = R"({"question": "q", "answer": "#### 7"})",
                  kReply = R"({"id": 0, "response": "#### 7"})";

std::vector<Reader> tokenizer_readers() {
  const std::string tokenize = "tokenize_text --tokenizer FOLDER --in FOLDER/texts.jsonl --out FOLDER/out";
  const std::map<std::string, std::string> texts{{"texts.jsonl", kTexts}},
      both{{"texts.jsonl", kTexts}, {"tokenizer.json", kTokenizer}};
  return {
      {.name = "tokenizer.json", .good = kTokenizer, .command = tokenize, .beside = texts},
      {.name = "tokenizer_config.json", .good = R"({"eos_token": "<s>"})", .command = tokenize, .beside = both},
      {.name = "special_tokens_map.json",
       .good = R"({"eos_token": "<s>"})",
       .command = tokenize,
       .beside = both},
      {.name = "added_tokens.json", .good = R"({"<s>": 2})", .command = tokenize, .beside = both},
      {.name = "texts.jsonl", .good = kTexts, .command = tokenize, .beside = {{"tokenizer.json", kTokenizer}}},
      {.name = "tokenizer.model", .good = "", .command = tokenize, .is_json = false, .beside = texts},
      {.name = "a.tiktoken", .good = "", .command = tokenize, .is_json = false, .beside = texts}};
}

std::vector<Reader> task_readers() {
  const std::string score = "score_outputs --task gsm8k --protocol lm_eval_strict --out FOLDER/out ";
  return {{.name = "problems.jsonl",
           .good = kProblem,
           .command = score + "--data FILE --in FOLDER/replies.jsonl",
           .beside = {{"replies.jsonl", kReply}}},
          {.name = "replies.jsonl",
           .good = kReply,
           .command = score + "--data FOLDER/problems.jsonl --in FILE",
           .beside = {{"problems.jsonl", kProblem}}}};
}

// Eight lines, in which the prompt "C" differs.
std::string numbered(const std::string& line) {
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    lines += (i > 0 ? "\n" : "") + line;
    lines.replace(lines.rfind("\"C"), 2, "\"" + std::to_string(i));
  }
  return lines;
}

std::vector<Reader> experiment_readers() {
  const std::string yaml = "base: {path: " + base() +
                           "}\narms:\n  - {name: gqa, variant: gqa}\nseeds: [0]\n"
                           "train: {steps: 1, sequence_length: 64}\neval: {every: 1, problems: 0}\n";
  const std::string dry = "run_ablation --dry-run --out FOLDER/out --config ";
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"gsm8k", R"({"question": "C", "answer": "#### 7"})"},
      {"instruction_jsonl", R"({"instruction": "C", "output": "A"})"},
      {"text_jsonl", R"({"text": "C"})"},
      {"chat_jsonl",
       R"({"messages": [{"role": "user", "content": "C"}, {"role": "assistant", "content": "A"}]})"}};
  std::vector<Reader> all{{.name = "exp.yaml", .good = yaml, .command = dry + "FILE", .is_json = false}};
  for (const auto& [kind, line] : kinds)
    all.push_back({.name = "data.jsonl",
                   .good = numbered(line),
                   .command = dry + "FOLDER/exp.yaml --set data.kind=" + kind + " --set data.path=FILE",
                   .beside = {{"exp.yaml", yaml + "data: {heldout_share: 0.5}\n"}}});
  return all;
}

std::vector<Reader> readers() {
  std::vector<Reader> all = tokenizer_readers();
  for (const auto& more : {task_readers(), experiment_readers()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

// The last "{" of the last object that is not inside another, so that a key can be put in.
std::string with_members(const std::string& json, const std::string& members) {
  const size_t line = json.rfind("\n{");
  std::string changed = json;
  changed.insert(line == std::string::npos ? 1 : line + 2, members + ", ");
  return changed;
}

struct Bad {
  std::string name;
  std::function<std::string(const Reader&)> make;
  bool for_json_only = false;
};

std::vector<Bad> bad_contents() {
  const auto always = [](const std::string& text) { return [text](const Reader&) { return text; }; };
  std::string garbage;
  for (int i = 0; i < 700; ++i) garbage += static_cast<char>(i * 131 + i / 7);
  return {
      {"an empty file", always("")},
      {"blank lines", always("\n \n")},
      {"binary garbage", always(garbage)},
      {"zeros", always(std::string(256, '\0'))},
      {"a pointer of git-lfs", always("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n")},
      {"a page of HTML", always("<!DOCTYPE html>\n<html>not found</html>\n")},
      {"UTF-16", always(std::string("\xFF\xFE{\0\"\0", 6))},
      {"a number", always("3"), true},
      {"a list of a number", always("[3]"), true},
      {"Latin-1", [](const Reader& r) { return with_members(r.good, "\"zz\": \"\xE9\""); }, true},
      {"a huge number", [](const Reader& r) { return with_members(r.good, "\"zz\": 1e999"); }, true},
      {"a key twice", [](const Reader& r) { return with_members(r.good, "\"zz\": 1, \"zz\": 1"); }, true},
      {"an end too early", [](const Reader& r) { return r.good.substr(0, r.good.size() - 1); }, true}};
}

std::string replaced_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string command_of(const Reader& reader, const fs::path& folder) {
  const std::string file = (folder / reader.name).string();
  return replaced_all(replaced_all(reader.command, "FILE", file), "FOLDER", folder.string());
}

void write_beside(const Reader& reader, const fs::path& folder) {
  for (const auto& [name, text] : reader.beside) write_file_atomic(folder / name, text);
}

// One line for people, with the file in it.
void check_message(const Ran& outcome, const std::string& file) {
  CHECK(outcome.code == 2);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK_THAT(outcome.err,
             ContainsSubstring(file) && ContainsSubstring("found ") && ContainsSubstring("expected "));
  CHECK(outcome.err.size() < 1000);
  for (const char* foreign : {"json.exception", "parse error", "yaml-cpp", "terminate", "std::", "basic_string",
                              "what()", "INTERNAL", "sentencepiece_processor.cc", "filesystem error"})
    CHECK(outcome.err.find(foreign) == std::string::npos);
  CHECK(std::none_of(outcome.err.begin(), outcome.err.end() - 1,
                     [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
}

}  // namespace

TEST_CASE("every reader refuses what it cannot take in one line with the file, and writes nothing") {
  for (const Reader& reader : readers()) {
    const TemporaryFolder folder;
    write_beside(reader, folder.path());
    const fs::path file = folder.path() / reader.name;
    const std::string command = command_of(reader, folder.path());
    if (!reader.good.empty()) {
      write_file_atomic(file, reader.good);
      const Ran passed = run_program(command);
      INFO(reader.name << ", good: " << passed.err);
      REQUIRE(passed.code == 0);
      fs::remove_all(folder.path() / "out");
    }
    const auto refuse = [&](const std::string& name) {
      const Ran outcome = run_program(command);
      INFO(command << "\n" << reader.name << ", " << name << ": " << outcome.err);
      check_message(outcome, reader.name);
      CHECK_FALSE(fs::exists(folder.path() / "out"));
    };
    for (const Bad& bad : bad_contents()) {
      if (bad.for_json_only && !reader.is_json) continue;
      // No texts are no mistake of tokenize_text, and UTF-16 is YAML, too.
      const bool no_texts =
          reader.name == "texts.jsonl" && (bad.name == "an empty file" || bad.name == "blank lines");
      if (no_texts) continue;
      write_file_atomic(file, bad.make(reader));
      refuse(bad.name);
    }
    fs::remove(file);
    fs::create_directory(file);
    refuse("a folder");
  }
}

TEST_CASE("a reader's error names the line and the key") {
  const TemporaryFolder folder;
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  write_file_atomic(path("tokenizer.json"), kTokenizer);
  const auto tokenize = [&](const std::string& texts, const std::string& message) {
    write_file_atomic(path("texts.jsonl"), texts);
    check_refused("tokenize_text --tokenizer " + folder.path().string() + " --in " + path("texts.jsonl") +
                      " --out " + path("out"),
                  path("texts.jsonl") + message);
  };
  tokenize("{\"text\": \"a\"}\n{\"text\": \"a\", \"n\": 1e999}\n",
           ":2: found 1e999, a number that no double holds, at character 20, expected one JSON object a line");
  tokenize("{\"text\": \"a\"}\n{\"text\": \"a\", \"text\": \"a\"}\n", ":2: text: found the key twice");
  tokenize("{\"text\": \"a\"}\n\n{\"text\": [\"a\"]}\n", ":3: text: found array, expected a string");
  tokenize("[{\"text\": \"a\"},\n{\"texts\": \"a\"}]\n", ":2: text: found no such key (there are: texts)");
}

}  // namespace attnlab::test
