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
  CHECK_THAT(refusal("[1]"), ContainsSubstring("a.jsonl:1: found array, expected one JSON object a line"));
  CHECK_THAT(refusal("\n"), ContainsSubstring("found no examples"));
  CHECK_THAT(refusal("{\"a\": 1, \"b\": 2, \"a\": 1}"),
             ContainsSubstring("a.jsonl:1: a: found the key twice, expected each key once"));
  CHECK(refusal("{\"a\": {\"b\": 1}, \"b\": {\"b\": 2}, \"c\": [{\"a\": 1}, {\"a\": 2}]}").empty());
}

}  // namespace
}  // namespace attnlab
