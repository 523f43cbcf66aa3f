#include "data/dataset.h"

#include <nlohmann/json.hpp>
#include <set>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "data/answers.h"
#include "text/chat.h"

using namespace attnlab;

namespace {

std::set<std::string> prompts(const Dataset& dataset) {
  std::set<std::string> found;
  for (int64_t i = 0; i < dataset.size(); ++i) found.insert(dataset.get(i).prompt);
  return found;
}

// The message of the InputError that opening `text` as a file of `kind` gives; "" if it opens.
std::string error_of(DataKind kind, const std::string& text) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "data.jsonl";
  write_file_atomic(path, text);
  try {
    open_dataset({.kind = kind, .path = path.string(), .heldout_share = 0}, Split::train);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("GSM8K rows become prompt, answer and gold") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "train.jsonl";
  write_file_atomic(path, R"({"question": "How many?", "answer": "1+1 = <<1+1=2>>2\n#### 1,002"})"
                          "\n\n"
                          R"({"answer": "#### 3", "question": "And now?"})");
  const auto data =
      open_dataset({.kind = DataKind::gsm8k, .path = path.string(), .heldout_share = 0}, Split::train);
  REQUIRE(data->size() == 2);
  CHECK(data->get(0).prompt == "Question: How many?\nAnswer: ");
  CHECK(data->get(0).answer == "1+1 = <<1+1=2>>2\n#### 1,002");
  CHECK(data->get(0).gold == "1002");
  CHECK(data->get(1).gold == "3");
}

TEST_CASE("instruction data take both spellings of their keys") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl";
  write_file_atomic(path, R"({"instruction": "Add.", "input": "1 2", "output": "3"})"
                          "\n"
                          R"({"query": "Q", "response": "so\n#### 7"})");
  DataConfig config{.kind = DataKind::instruction_jsonl, .path = path.string(), .heldout_share = 0};
  const auto data = open_dataset(config, Split::train);
  CHECK_THAT(data->get(0).prompt, ContainsSubstring("### Instruction:\nAdd.\n\n1 2\n\n### Response:\n"));
  CHECK(data->get(0).gold.empty());
  CHECK(data->get(1).gold == "7");
  config.prompt_template = PromptTemplate::raw;
  CHECK(open_dataset(config, Split::train)->get(1).prompt == "Q");
}

TEST_CASE("a chat format puts a turn around the prompt and ends the answer's, and gold stays") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl";
  write_file_atomic(path, R"({"instruction": "Add.", "output": "so\n#### 7"})");
  DataConfig config{.kind = DataKind::instruction_jsonl, .path = path.string(), .heldout_share = 0};
  const auto first = [&](PromptTemplate format) {
    config.prompt_template = format;
    return open_dataset(config, Split::train)->get(0);
  };
  const Example llama = first(chat_template(ChatFormat::llama3));
  CHECK(llama.prompt ==
        "<|start_header_id|>user<|end_header_id|>\n\nAdd.<|eot_id|><|start_header_id|>assistant<|end_header_id|"
        ">\n\n");
  CHECK(llama.answer == "so\n#### 7<|eot_id|>");
  CHECK(llama.gold == "7");
  CHECK(first(chat_template(ChatFormat::mistral)).prompt == "[INST] Add. [/INST]");
  CHECK(first(chat_template(ChatFormat::mistral)).answer == "so\n#### 7");  // its end of turn is the EOS
  const auto generated = open_dataset(
      {.kind = DataKind::generated, .prompt_template = chat_template(ChatFormat::gemma)}, Split::train);
  for (int64_t i = 0; i < 20; ++i) {
    CHECK(generated->get(i).prompt.starts_with("<start_of_turn>user\n"));
    CHECK(generated->get(i).answer.ends_with("<end_of_turn>"));
  }
}

TEST_CASE("each chat format is a prompt template") {
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    INFO(name);
    const auto named = from_name<PromptTemplate>(name);
    REQUIRE(named.has_value());
    const std::vector<ChatMessage> messages{{"user", "Q"}};
    CHECK(apply_template(*named, "Q") == format_chat(format, messages, true));
    CHECK(apply_template_to_answer(*named, "A") == format_answer(format, "A"));
  }
  CHECK(apply_template_to_answer(PromptTemplate::alpaca, "A") == "A");
}

TEST_CASE("a folder of text gives its files in the order of their paths") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "b.txt", "second");
  write_file_atomic(folder.path() / "a" / "z.py", "first");
  write_file_atomic(folder.path() / "c.bin", "never");
  write_file_atomic(folder.path() / "empty.txt", "");
  const DataConfig config{.kind = DataKind::text_folder,
                          .path = folder.path().string(),
                          .heldout_share = 0,
                          .extensions = {"py", ".txt"}};
  const auto data = open_dataset(config, Split::train);
  REQUIRE(data->size() == 2);
  CHECK(data->get(0).answer == "first");
  CHECK(data->get(1).answer == "second");
  CHECK(data->get(0).prompt.empty());
}

TEST_CASE("bad files are refused with file, line and key") {
  const auto gsm8k = [](const std::string& text) { return error_of(DataKind::gsm8k, text); };
  const std::string good = R"({"question": "Q", "answer": "#### 1"})";
  CHECK(gsm8k(good).empty());
  CHECK_THAT(gsm8k(good + "\n{\"question\": "),
             ContainsSubstring("data.jsonl:2") && ContainsSubstring("malformed"));
  CHECK_THAT(gsm8k(R"({"qestion": "Q", "answer": "#### 1"})"),
             ContainsSubstring("data.jsonl:1: question") && ContainsSubstring("did you mean 'qestion'"));
  CHECK_THAT(gsm8k(R"({"question": 3, "answer": "#### 1"})"),
             ContainsSubstring("question: found number") && ContainsSubstring("a string"));
  CHECK_THAT(gsm8k(R"({"question": "Q", "answer": "one"})"), ContainsSubstring("#### N"));
  CHECK_THAT(gsm8k("[1]"), ContainsSubstring("data.jsonl:1: found number, expected one JSON object"));
  CHECK_THAT(gsm8k("\n\n"), ContainsSubstring("no examples"));
  CHECK_THAT(error_of(DataKind::instruction_jsonl, R"({"instruction": "a", "outputs": "b"})"),
             ContainsSubstring("output") && ContainsSubstring("did you mean 'outputs'"));
  CHECK_THAT(error_of(DataKind::text_folder, "x"), ContainsSubstring("a folder"));
  const test::TemporaryFolder empty;
  CHECK_THROWS_AS(open_dataset({.kind = DataKind::text_folder, .path = empty.path().string()}, Split::train),
                  InputError);
  CHECK_THROWS_AS(open_dataset({.kind = DataKind::gsm8k}, Split::train), InputError);
  CHECK_THROWS_AS(open_dataset({.kind = DataKind::gsm8k, .path = "/nowhere.jsonl"}, Split::train), InputError);
  CHECK_THROWS_AS(open_dataset({.difficulty_min = 4, .difficulty_max = 2}, Split::train), InputError);
}

TEST_CASE("a final answer that is no number is no gold, and is counted") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl";
  std::string text;
  for (const char* gold : {"1,000", "-5", "$70,000", "3.50", "1/2", "12 apples", "18.", "2:30"})
    text += nlohmann::json{{"question", gold}, {"answer", std::string("x\n#### ") + gold}}.dump() + "\n";
  write_file_atomic(path, text);
  const auto golds = [&](DataKind kind) {
    const auto data = open_dataset({.kind = kind, .path = path.string(), .heldout_share = 0}, Split::train);
    std::vector<std::string> out;
    for (int64_t i = 0; i < data->size(); ++i) out.push_back(data->get(i).gold);
    for (const auto& note : data->notes()) out.push_back(note);
    return out;
  };
  const std::vector<std::string> expected{"1000",
                                          "-5",
                                          "70000",
                                          "3.50",
                                          "",
                                          "12",
                                          "18",
                                          "",
                                          path.string() +
                                              ": 2 final answers are no number and not asked for "
                                              "(first in line 5: \"1/2\")"};
  CHECK(golds(DataKind::gsm8k) == expected);
  CHECK_THAT(error_of(DataKind::gsm8k, R"({"question": "Q", "answer": "#### none"})"),
             ContainsSubstring("answer: found no final answer, expected a last line"));
}

TEST_CASE("instructions are read from one JSON array, null inputs are none, and keys not read are named once") {
  const test::TemporaryFolder folder;
  const auto path = (folder.path() / "a.json").string();
  const auto read = [&](const std::string& text) {
    write_file_atomic(path, text);
    return open_dataset({.kind = DataKind::instruction_jsonl,
                         .path = path,
                         .heldout_share = 0,
                         .prompt_template = PromptTemplate::raw},
                        Split::train);
  };
  const auto data = read(R"([
    {"instruction": "a", "input": null, "output": "b", "history": null, "source": "s"},
    {"instruction": "c", "input": "", "output": "d", "history": [["e", "f"]]},
    {"instruction": "g", "input": "h", "output": "i", "history": [], "system": "j"}
  ])");
  REQUIRE(data->size() == 3);
  CHECK(data->get(0).prompt == "a");
  CHECK(data->get(1).prompt == "c");
  CHECK(data->get(2).prompt == "g\n\nh");
  CHECK(data->notes() ==
        std::vector<std::string>{path + ": keys that are not read: history (2 times, first in line "
                                        "3), system (1 times, first in line 4)"});
  CHECK(read(R"([{"query": "a", "instruction": null, "response": "b"}])")->get(0).prompt == "a");
  CHECK_THROWS_WITH(read("[\n{\"instruction\": \"a\", \"output\": null}]"),
                    ContainsSubstring("a.json:2: output: found null, expected a string"));
}

TEST_CASE("a text file's byte order mark is no text, UTF-16 is refused, and other bytes are told") {
  const test::TemporaryFolder folder;
  const DataConfig config{.kind = DataKind::text_folder, .path = folder.path().string(), .heldout_share = 0};
  write_file_atomic(folder.path() / "a.txt", "\xEF\xBB\xBFone");
  write_file_atomic(folder.path() / "b.txt", "two");
  CHECK(open_dataset(config, Split::train)->get(0).answer == "one");
  CHECK(open_dataset(config, Split::train)->notes().empty());
  write_file_atomic(folder.path() / "b.txt", "t\xE9");
  REQUIRE(open_dataset(config, Split::train)->notes().size() == 1);
  CHECK_THAT(open_dataset(config, Split::train)->notes()[0],
             ContainsSubstring("1 files hold bytes that are not UTF-8") && ContainsSubstring("b.txt"));
  write_file_atomic(folder.path() / "b.txt", "\xFF\xFEt");
  CHECK_THROWS_WITH(open_dataset(config, Split::train), ContainsSubstring("b.txt:1: found UTF-16 text"));
}

TEST_CASE("without a held-out file a fixed share is held out, and equal questions stay together") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl";
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += "{\"question\": \"q" + std::to_string(i % 190) + "\", \"answer\": \"#### " + std::to_string(i) +
            "\"}\n";
  write_file_atomic(path, text);
  const DataConfig config{.kind = DataKind::gsm8k, .path = path.string(), .heldout_share = 0.1};
  const auto train = open_dataset(config, Split::train), valid = open_dataset(config, Split::valid);
  CHECK(train->size() + valid->size() == 200);
  CHECK(valid->size() >= 20);
  CHECK(valid->size() <= 22);
  for (const std::string& prompt : prompts(*valid)) CHECK(prompts(*train).count(prompt) == 0);
  CHECK(prompts(*valid) == prompts(*open_dataset(config, Split::test)));

  write_file_atomic(path, R"({"question": "only", "answer": "#### 1"})");
  CHECK_THROWS_AS(open_dataset(config, Split::train), InputError);
  DataConfig none = config;
  none.heldout_share = 0;
  CHECK_THROWS_AS(open_dataset(none, Split::test), InputError);
  none.heldout_path = path.string();
  CHECK(open_dataset(none, Split::test)->size() == 1);
}

TEST_CASE("generated data mix both kinds by code_share and keep the splits apart") {
  DataConfig config{
      .kind = DataKind::generated, .code_share = 0.25, .size = 4000, .heldout_size = 300, .seed = 9};
  const auto train = open_dataset(config, Split::train), test = open_dataset(config, Split::test);
  REQUIRE(train->size() == 4000);
  REQUIRE(test->size() == 300);
  int64_t code = 0;
  for (int64_t i = 0; i < train->size(); ++i) {
    const Example example = train->get(i);
    const bool is_code = example.prompt.rfind("def ", 0) == 0;
    code += is_code;
    CHECK(is_code == example.gold.empty());
    if (!is_code) REQUIRE(exact_match(extract_answer(example.answer), example.gold));
  }
  CHECK(code > 850);  // 1000 expected, standard deviation 27
  CHECK(code < 1150);
  const auto held_out = prompts(*test);
  CHECK(held_out.size() == 300);  // all different
  for (const std::string& prompt : prompts(*train)) REQUIRE(held_out.count(prompt) == 0);

  config.prompt_template = PromptTemplate::plain;
  const auto told = open_dataset(config, Split::train);
  for (int64_t i = 0; i < 50; ++i) CHECK(told->get(i).prompt.rfind("Question: ", 0) == 0);
}

TEST_CASE("the real GSM8K is read whole") {
  const auto folder = test::shared_dir() / "data" / "gsm8k";
  if (!std::filesystem::exists(folder / "train.jsonl")) SKIP_TEST("GSM8K is not here");
  const DataConfig config{.kind = DataKind::gsm8k,
                          .path = (folder / "train.jsonl").string(),
                          .heldout_path = (folder / "test.jsonl").string()};
  const auto train = open_dataset(config, Split::train), test = open_dataset(config, Split::test);
  CHECK(train->size() == 7473);
  CHECK(test->size() == 1319);
  CHECK(train->get(0).gold == "72");
  CHECK(test->get(0).gold == "18");
  for (int64_t i = 0; i < test->size(); ++i) REQUIRE(exact_match(test->get(i).gold, test->get(i).gold));
}
