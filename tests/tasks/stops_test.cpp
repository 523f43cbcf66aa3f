#include "tasks/stops.h"

#include "support.h"
#include "tasks/presets.h"

namespace attnlab {
namespace {

TEST_CASE("a reply ends at the earliest stop string") {
  CHECK(until_stop("one two three", {"three", "two"}) == "one ");
  CHECK(until_stop("FAQ: 72", {"Q:"}) == "FA");
  CHECK(until_stop("Question: 1", {"Question:"}) == "");
  CHECK(until_stop("question: 1", {"Question:"}) == "question: 1");
  CHECK(until_stop("nothing", {"x", ""}) == "nothing");
  CHECK(until_stop("é\ndef", {"\ndef"}) == "é");
}

TEST_CASE("the presets have the stop strings of the harnesses") {
  if (!test::all_there({test::fixture("stop_strings.json")})) SKIP_TEST("no stop_strings.json");
  const auto lists = test::read_json(test::fixture("stop_strings.json"));
  using Stops = std::vector<std::string>;
  const auto stops = [](Task task, Protocol protocol) { return preset_of(task, protocol).stops; };
  const auto list = [&](const char* name) { return lists[name].get<Stops>(); };
  const auto with_end = [&](const char* name) {
    Stops all = list(name);
    all.push_back(lists["lm_eval_eos_appended_here"]);
    return all;
  };
  const auto joined = [&](const char* name) {
    Stops all = list("evalplus_common");
    for (const auto& stop : list(name)) all.push_back(stop);
    return all;
  };
  CHECK(stops(Task::humaneval, Protocol::lm_eval) == with_end("lm_eval_humaneval"));
  CHECK(stops(Task::mbpp, Protocol::lm_eval) == with_end("lm_eval_mbpp"));
  CHECK(stops(Task::gsm8k, Protocol::lm_eval_strict) == with_end("lm_eval_gsm8k"));
  CHECK(stops(Task::gsm8k, Protocol::lm_eval_cot) == with_end("lm_eval_gsm8k_cot"));
  CHECK(stops(Task::humaneval, Protocol::bigcode) == list("bigcode_humaneval"));
  CHECK(stops(Task::humaneval, Protocol::evalplus_base) == joined("evalplus_humaneval_direct_completion"));
  CHECK(stops(Task::mbpp, Protocol::evalplus_base) == joined("evalplus_mbpp_direct_completion"));
  // In a chat code blocks begin with what ends a completion: "import", "from", "def".
  CHECK(stops(Task::humaneval, Protocol::evalplus) == list("evalplus_common"));
  CHECK(stops(Task::mbpp, Protocol::evalplus) == list("evalplus_common"));
  CHECK(preset_of(Task::humaneval, Protocol::lm_eval).max_new_tokens ==
        lists["lm_eval_humaneval_max_gen_toks"]);
}

}  // namespace
}  // namespace attnlab
