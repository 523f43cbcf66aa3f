#include "tasks/responses.h"

#include "core/files.h"
#include "support.h"

namespace attnlab {
namespace {

const std::vector<Problem> problems{{.id = "0"}, {.id = "H/1"}};

Responses read(const std::string& text) {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "r.jsonl", text);
  return read_responses(folder.path() / "r.jsonl", problems);
}

TEST_CASE("replies keep their order, and ids may repeat") {
  const Responses read_back = read(R"({"id": "H/1", "response": "a", "model": "m"})"
                                   "\n\n"
                                   R"({"id": 0, "response": "b"})"
                                   "\n"
                                   R"({"id": "H/1", "response": ""})");
  REQUIRE(read_back.replies.size() == 3);
  CHECK(read_back.replies[0].problem == 1);
  CHECK(read_back.replies[1].problem == 0);
  CHECK(read_back.replies[2].text.empty());
  const std::vector<Score> scores{
      {"a", true, "match"}, {"[invalid]", false, "no answer"}, {"\xFF", false, "x"}};
  CHECK(score_lines(read_back, scores) ==
        "{\"id\":\"H/1\",\"extracted\":\"a\",\"correct\":true,\"result\":\"match\"}\n"
        "{\"id\":0,\"extracted\":\"[invalid]\",\"correct\":false,\"result\":\"no answer\"}\n"
        "{\"id\":\"H/1\",\"extracted\":\"\uFFFD\",\"correct\":false,\"result\":\"x\"}\n");
}

TEST_CASE("replies are read as human-eval and evalplus write them") {
  const Responses read_back = read(R"([{"task_id": "H/1", "completion": "a", "_identifier": "H/1"},)"
                                   R"( {"task_id": 0, "solution": "b", "response": null},)"
                                   R"( {"id": 0, "task_id": 0, "response": "c"}])");
  REQUIRE(read_back.replies.size() == 3);
  CHECK(read_back.replies[0].problem == 1);
  CHECK(read_back.replies[0].text == "a");
  CHECK_FALSE(read_back.replies[0].whole);
  CHECK(read_back.ids[0] == "H/1");
  CHECK(read_back.replies[1].problem == 0);
  CHECK(read_back.replies[1].text == "b");
  CHECK(read_back.replies[1].whole);
  CHECK(read_back.replies[2].text == "c");
  const auto refused = [](const std::string& text) { return test::refusal([&] { read(text); }); };
  CHECK_THAT(refused(R"({"task_id": 0, "completion": "a", "response": "b"})"),
             ContainsSubstring("found response and completion, expected one of them"));
  CHECK_THAT(refused(R"({"task_id": 0, "id": "H/1", "completion": "a"})"),
             ContainsSubstring("id: found \"H/1\", and 0 as task_id, expected one of them"));
  CHECK_THAT(refused(R"({"task_id": "H/7", "completion": "a"})"), ContainsSubstring("task_id: found \"H/7\""));
  CHECK_THAT(refused(R"({"task_id": 0, "completion": 3})"), ContainsSubstring("completion: found number"));
  CHECK_THAT(refused(R"({"task_id": 0})"), ContainsSubstring("response: found no such key"));
}

TEST_CASE("each mistake in a reply names its line and key") {
  const auto refused = [](const std::string& second) {
    return test::refusal([&] {
      read(R"({"id": 0, "response": "a"})"
           "\n" +
           second);
    });
  };
  CHECK_THAT(refused(R"({"id": 2, "response": "a"})"),
             ContainsSubstring("r.jsonl:2: id: found 2, expected an id of the 2 problems, 0 to H/1"));
  CHECK_THAT(refused(R"({"id": "H/2", "response": "a"})"), ContainsSubstring("did you mean 'H/1'?"));
  CHECK_THAT(refused(R"({"id": 0.5, "response": "a"})"), ContainsSubstring("id: found number"));
  CHECK_THAT(refused(R"({"id": null, "response": "a"})"), ContainsSubstring("id: found null"));
  CHECK_THAT(refused(R"({"response": "a"})"), ContainsSubstring("id: found no such key"));
  CHECK_THAT(refused(R"({"id": 0, "reponse": "a"})"), ContainsSubstring("did you mean 'reponse'?"));
  CHECK_THAT(refused(R"({"id": 0, "response": ["a"]})"), ContainsSubstring("response: found array"));
  CHECK_THAT(refused(R"({"id": 0, "response": "a", "response": "b"})"),
             ContainsSubstring("r.jsonl:2: response: found the key twice"));
  CHECK_THAT(refused("nonsense"), ContainsSubstring("r.jsonl:2: found malformed JSON"));
}

}  // namespace
}  // namespace attnlab
