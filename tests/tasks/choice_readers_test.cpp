#include "tasks/choice_readers.h"

#include "core/files.h"
#include "support.h"
#include "tasks/choice_item.h"
#include "tasks/hellaswag_text.h"

namespace attnlab {
namespace {

using Texts = std::vector<std::string>;

std::vector<ChoiceItem> read(Task task, const std::string& text, const std::string& labels = "") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "valid.jsonl", text);
  if (!labels.empty()) write_file_atomic(folder.path() / "valid-labels.lst", labels);
  return read_choices(task, folder.path() / "valid.jsonl");
}
ChoiceItem first(Task task, const std::string& text, const std::string& labels = "") {
  return read(task, text, labels).at(0);
}
std::string refused(Task task, const std::string& text) {
  return test::refusal([&] { read(task, text); });
}

TEST_CASE("PIQA's labels beside it are one a line, and as many") {
  const std::string row = R"({"goal": "g", "sol1": "a", "sol2": "b"})";
  const auto golds = [&](const std::string& labels) {
    std::vector<int64_t> out;
    for (const auto& item : read(Task::piqa, row + "\n" + row + "\n", labels)) out.push_back(item.gold);
    return out;
  };
  CHECK(golds("\xEF\xBB\xBF"
              "0\r\n1\r\n\r\n") == std::vector<int64_t>{0, 1});
  CHECK_THROWS_WITH(golds("0\n1\n1\n"),
                    ContainsSubstring("valid-labels.lst: found 3 labels, expected 2, one a line"));
  CHECK_THROWS_WITH(golds("1\n"), ContainsSubstring("label: found no such key"));
  CHECK_THROWS_WITH(golds("0\n\n1\n"), ContainsSubstring("label: found"));
  // Not JSON, so that no parser has refused these bytes.
  CHECK_THROWS_WITH(golds("0\n\xFF\n"),
                    ContainsSubstring("label: found \"\xFF\", expected a number from 0 to 1"));
}

TEST_CASE("MMLU asks for a letter") {
  const std::string row =
      R"({"question": " What? ", "subject": "moral_disputes", "choices": ["w", "x", "y", "z"])";
  const ChoiceItem item = first(Task::mmlu, row + R"(, "answer": 2})");
  CHECK(item.contexts[0] == "What?\nA. w\nB. x\nC. y\nD. z\nAnswer:");
  CHECK(item.continuations == Texts{" A", " B", " C", " D"});
  CHECK(item.gold == 2);
  CHECK(item.header == "The following are multiple choice questions (with answers) about moral disputes.\n\n");
  CHECK(first(Task::mmlu, row + R"(, "answer": "B"})").gold == 1);
  CHECK_THAT(refused(Task::mmlu, row + R"(, "answer": 4})"),
             ContainsSubstring("valid.jsonl:1: answer: found 4, expected a number from 0 to 3"));
  CHECK_THAT(refused(Task::mmlu, row + R"(, "answer": -1})"), ContainsSubstring("found -1"));
  CHECK_THAT(refused(Task::mmlu, R"({"question": "q", "subject": "s", "choices": ["a", "b"], "answer": 0})"),
             ContainsSubstring("found 2 choices, expected four"));
}

TEST_CASE("ARC comes from the hub and from its authors") {
  const std::string hub =
      R"({"question": "Q?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, )";
  const ChoiceItem item = first(Task::arc_easy, hub + R"("answerKey": "3"})");
  CHECK(item.contexts[0] == "Question: Q?\nAnswer:");
  CHECK(item.continuations == Texts{" x", " y", " z"});
  CHECK(item.gold == 2);
  const ChoiceItem own =
      first(Task::arc_challenge, R"({"question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"},)"
                                 R"( {"text": "y", "label": "B"}]}, "answerKey": "B"})");
  CHECK(own.contexts[0] == "Question: Q?\nAnswer:");
  CHECK(own.gold == 1);
  CHECK_THAT(refused(Task::arc_easy, hub + R"("answerKey": "A"})"),
             ContainsSubstring("answerKey: found 'A', expected one of 1, 2, 3"));
  CHECK_THAT(refused(Task::arc_easy, R"({"question": "Q", "choices": {"text": ["x", "y"]}, "answerKey": "1"})"),
             ContainsSubstring("choices.label: found nothing"));
  CHECK_THAT(refused(Task::arc_easy, R"({"question": "Q", "choices": ["x"], "answerKey": "1"})"),
             ContainsSubstring("choices: found array"));
  CHECK_THAT(
      refused(Task::arc_easy, R"({"question": "Q", "choices": {"text": ["x", "y"], "label": ["1", "2", "3"]},)"
                              R"( "answerKey": "1"})"),
      ContainsSubstring("found 3 labels, expected 2"));
  CHECK_THAT(refused(Task::arc_easy,
                     R"({"question": "Q", "choices": {"text": "x", "label": ["1"]}, "answerKey": "1"})"),
             ContainsSubstring("choices.text: found string"));
  CHECK_THAT(refused(Task::arc_easy,
                     R"({"question": "Q", "choices": {"text": [1], "label": ["1"]}, "answerKey": "1"})"),
             ContainsSubstring("choices.text: found a list with number"));
  CHECK_THAT(refused(Task::arc_easy,
                     R"({"question": "Q", "choices": {"text": ["x"], "label": ["1"]}, "answerKey": "1"})"),
             ContainsSubstring("found 1 choices, expected two or more"));
  CHECK_THAT(refused(Task::arc_easy, R"({"question": {"stem": "Q"}, "answerKey": "1"})"),
             ContainsSubstring("question.choices: found nothing"));
  CHECK_THAT(refused(Task::arc_easy, R"({"question": {"choices": []}, "answerKey": "1"})"),
             ContainsSubstring("question.stem: found nothing"));
  CHECK_THAT(refused(Task::arc_easy, R"({"question": {"stem": "Q", "choices": [1]}, "answerKey": "1"})"),
             ContainsSubstring("question.choices: found number"));
  CHECK_THAT(
      refused(Task::arc_easy,
              R"({"question": {"stem": "Q", "choices": [{"text": "x", "label": "A"}]}, "answerKey": "A"})"),
      ContainsSubstring("question.choices: found 1 choices, expected two or more"));
}

TEST_CASE("OpenBookQA asks with the bare stem") {
  const ChoiceItem item =
      first(Task::openbookqa, R"({"question_stem": "The sun is", "choices": {"text": ["hot", "cold"],)"
                              R"( "label": ["A", "B"]}, "answerKey": " A"})");
  CHECK(item.contexts[0] == "The sun is");
  CHECK(item.gold == 0);
}

TEST_CASE("PIQA finds its labels in the line or beside the file") {
  const std::string row = R"({"goal": "Boil", "sol1": "heat", "sol2": "cool")";
  const ChoiceItem item = first(Task::piqa, row + R"(, "label": 1})");
  CHECK(item.contexts[0] == "Question: Boil\nAnswer:");
  CHECK(item.continuations == Texts{" heat", " cool"});
  CHECK(item.gold == 1);
  CHECK(first(Task::piqa, row + "}", "1\n").gold == 1);
  CHECK_THAT(refused(Task::piqa, row + "}"), ContainsSubstring("label: found no such key"));
  CHECK_THAT(refused(Task::piqa, row + R"(, "label": 2})"), ContainsSubstring("expected a number from 0 to 1"));
}

TEST_CASE("HellaSwag's contexts are put together and cleaned") {
  const ChoiceItem item = first(
      Task::hellaswag, R"({"activity_label": "Cooking", "ctx_a": "[header] How to cook [title] Rice", "ctx_b":)"
                       R"( "a MAN", "endings": ["goes  [step] on.", " stops. "], "label": "1"})");
  CHECK(item.contexts[0] == "Cooking: How to cook. Rice A man");
  CHECK(item.choices == Texts{"goes  on.", "stops."});
  CHECK(item.gold == 1);
  CHECK(hellaswag_text("a [b\nc] d [e") == "a [b\nc] d [e");
  CHECK(hellaswag_text("[[a] b]") == " b]");
  CHECK(hellaswag_text("a    b") == "a  b");
}

TEST_CASE("WinoGrande fills the blank before what is scored") {
  const std::string row = R"({"option1": "Ian", "option2": "Dennis", "sentence": )";
  const ChoiceItem item = first(Task::winogrande, row + R"("He said _ was late. ", "answer": "2"})");
  CHECK(item.contexts == Texts{"He said Ian", "He said Dennis"});
  CHECK(item.continuations == Texts{" was late.", " was late."});
  CHECK(item.gold == 1);
  CHECK_THAT(refused(Task::winogrande, row + R"("No blank", "answer": "2"})"),
             ContainsSubstring("found no blank"));
  CHECK_THAT(refused(Task::winogrande, row + R"("A _", "answer": "3"})"),
             ContainsSubstring("answer: found \"3\", expected a number from 1 to 2"));
  CHECK_THAT(refused(Task::winogrande, row + R"("A _", "answer": ""})"),
             ContainsSubstring("answer: found \"\""));
}

}  // namespace
}  // namespace attnlab
