#include "core/jsonl.h"

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

std::string refusal(const std::string& text) {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.jsonl", text);
  try {
    for_each_record(folder.path() / "a.jsonl", [](const Record&) {});
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

// "LINE:VALUE of a", for each record.
std::string lines_of(const std::string& text) {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.jsonl", text);
  std::string read;
  for_each_record(folder.path() / "a.jsonl", [&](const Record& record) {
    read += std::to_string(record.line) + ":" + record.object["a"].dump() + " ";
  });
  return read;
}

TEST_CASE("lines of JSON are read with their numbers") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.jsonl", "{\"a\": \"x\"}\r\n\n \n{\"a\": \"y\", \"b\": {\"a\": 1}}");
  std::string read;
  for_each_record(folder.path() / "a.jsonl",
                  [&](const Record& record) { read += std::to_string(record.line) + record.text("a"); });
  CHECK(read == "1x4y");
}

TEST_CASE("a line that is no object with distinct keys is refused") {
  CHECK_THAT(refusal("{}\n{"), ContainsSubstring("a.jsonl:2: found malformed JSON at character 2"));
  CHECK_THAT(refusal("3"), ContainsSubstring("a.jsonl:1: found number, expected one JSON object a line"));
  CHECK_THAT(refusal("[1]"), ContainsSubstring("a.jsonl:1: found number, expected one JSON object a line"));
  CHECK_THAT(refusal("\n"), ContainsSubstring("found no examples"));
  CHECK_THAT(refusal("{\"a\": 1, \"b\": 2, \"a\": 1}"),
             ContainsSubstring("a.jsonl:1: a: found the key twice, expected each key once"));
  CHECK(refusal("{\"a\": {\"b\": 1}, \"b\": {\"b\": 2}, \"c\": [{\"a\": 1}, {\"a\": 2}]}").empty());
}

TEST_CASE("a byte order mark, Windows' line ends and blank lines are no part of the data") {
  CHECK(lines_of("\xEF\xBB\xBF{\"a\": 1}\r\n\r\n   \n\t\n{\"a\": 2}\r\n\n") == "1:1 5:2 ");
  CHECK_THAT(refusal(std::string("\xFF\xFE{\0}\0", 6)), ContainsSubstring("a.jsonl:1: found UTF-16 text"));
  CHECK_THAT(refusal("{\"a\": 1}\n{\"a\": \"\xE9\"}\n"),
             ContainsSubstring("a.jsonl:2: found malformed JSON at character 9 (a byte that is not UTF-8)"));
}

TEST_CASE("one JSON array of objects is read as its elements, each with the line that it begins in") {
  CHECK(lines_of("[{\"a\": 1}, {\"a\": 2}]") == "1:1 1:2 ");
  CHECK(
      lines_of(
          "\xEF\xBB\xBF\n[\n  {\n    \"a\": 1,\n    \"b\": \"],[{\\\"\"\n  },\r\n  {\"a\": [[2], {}]}\n]\n") ==
      "3:1 7:[[2],{}] ");
  CHECK_THAT(refusal("[]"), ContainsSubstring("found no examples"));
  CHECK_THAT(refusal("[{\"a\": 1},\n {\"a\": }]"), ContainsSubstring("a.jsonl:2: found malformed JSON"));
  CHECK_THAT(refusal("[{\"a\": 1},\n {\"a\": 1} {}]"), ContainsSubstring("a.jsonl:2: found malformed JSON"));
  CHECK_THAT(refusal("[{\"a\": 1},\n\n]"), ContainsSubstring("a.jsonl:3: found nothing between commas"));
  CHECK_THAT(refusal("[{\"a\": 1},\n {\"a\": 1}\n"), ContainsSubstring("an array that ends too early"));
  CHECK_THAT(refusal("[{\"a\": 1}]\n[{\"a\": 1}]\n"),
             ContainsSubstring("a.jsonl:2: found more behind the array"));
  CHECK_THAT(refusal("[{\"a\": 1}\n, 3]"),
             ContainsSubstring("a.jsonl:2: found number, expected one JSON object"));
  CHECK_THAT(refusal("["), ContainsSubstring("an array that ends too early"));
}

TEST_CASE("a number that no double holds is told with file, line and place") {
  CHECK_THAT(refusal("{}\n{\"score\": 1e999}"),
             ContainsSubstring(
                 "a.jsonl:2: found 1e999, a number that no double holds, at character 11, expected one JSON"));
  CHECK_THAT(refusal("[{},\n{\n\"score\":\n -1e999}]"),
             ContainsSubstring("a.jsonl:4: found -1e999, a number that no double holds, at character 2"));
}

TEST_CASE("null is as good as absent for what need not be there, and not for what must") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.jsonl", "{\"a\": null, \"b\": 0}");
  for_each_record(folder.path() / "a.jsonl", [](const Record& record) {
    CHECK_FALSE(record.has("a"));
    CHECK(record.has("b"));
    CHECK_THROWS_WITH(record.text("a"), ContainsSubstring("a.jsonl:1: a: found null, expected a string"));
  });
}

TEST_CASE("the document of a record: a text, or the parts of the forms that generate_data writes") {
  const test::TemporaryFolder folder;
  const auto document = [&](const std::string& line) {
    write_file_atomic(folder.path() / "a.jsonl", line);
    std::string text;
    for_each_record(folder.path() / "a.jsonl", [&](const Record& record) { text = document_of(record); });
    return text;
  };
  CHECK(document(R"({"text": "a", "answer": "b"})") == "a");
  CHECK(document(R"({"question": "a", "answer": "b"})") == "a\nb");
  CHECK(document(R"({"text": "a", "code": "b"})") == "a\nb");
  CHECK(document(R"({"text": "a", "code": "b", "prompt": "c", "canonical_solution": "d"})") == "cd");
  CHECK(document(R"({"text": "a", "question": "q", "answer": "b"})") == "a");
  CHECK_THROWS_WITH(document(R"({"question": "a"})"), ContainsSubstring("a.jsonl:1: text: found no such key"));
}

TEST_CASE("a file without records is refused unless none will do") {
  CHECK_THAT(refusal(""), ContainsSubstring("a.jsonl: found an empty file"));
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a.jsonl", "\n");
  int records = 0;
  for_each_record(
      folder.path() / "a.jsonl", [&](const Record&) { ++records; }, /*none_will_do=*/true);
  CHECK(records == 0);
}

}  // namespace
}  // namespace attnlab
