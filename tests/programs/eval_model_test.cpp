// eval_model as a user calls it.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "results/evaluation_file.h"
#include "run_program.h"
#include "sandbox/sandbox.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;

struct EvalCall {
  test::TemporaryFolder folder;
  std::string model = (test::source_dir() / "data" / "base_small").string();
  std::filesystem::path out = folder.path() / "e.h5";

  std::string with(const std::string& options) const {
    return "eval_model --model " + model + " --out " + out.string() + " " + options;
  }
  // Refused with the message, and nothing written.
  void refused(const std::string& options, const std::string& message) const {
    check_refused(with(options), message);
    CHECK(std::filesystem::is_empty(folder.path()));
  }
};

const std::string few = "--tasks word_problems --limit 3 --shots 0 --max-new-tokens 40 --batch 2 ";

TEST_CASE("eval_model asks, scores under each protocol, and keeps what the model wrote") {
  const EvalCall call;
  const auto outcome = run_program(call.with(few + "--protocol lm_eval_flexible --protocol lm_eval_strict"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("word_problems  lm_eval_flexible  accuracy"));
  CHECK_FALSE(std::filesystem::exists(call.out.string() + ".partial.jsonl"));
  const auto record = read_evaluation(call.out);
  REQUIRE(record.tasks.size() == 1);
  CHECK(record.tasks[0].replies.size() == 3);
  REQUIRE(record.tasks[0].judgements.size() == 2);
  CHECK(record.tasks[0].judgements[0].first == "lm_eval_flexible");
  CHECK(record.scores[0].n == 3);
}

TEST_CASE("eval_model --ranks asks with several processes, and writes what one writes") {
  const EvalCall alone, two;
  const std::string tasks = "--tasks word_problems --limit 5 --shots 0 --max-new-tokens 24 --batch 2";
  const auto expected = run_program(alone.with(tasks)), outcome = run_program(two.with(tasks + " --ranks 2"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out == expected.out);
  const auto one = read_evaluation(alone.out), shared = read_evaluation(two.out);
  REQUIRE(shared.tasks.at(0).replies.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(shared.tasks[0].replies[i].text == one.tasks.at(0).replies[i].text);
  const auto refused = run_program(two.with("--tasks word_problems --ranks 2 --batch 0"));
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, ContainsSubstring("--batch: found 0"));
}

TEST_CASE("eval_model --chat makes prompts a user's turn, --prompts-out writes them as they are asked") {
  const EvalCall call;
  const auto prompts_of = [&](const std::string& options) {
    const auto file = call.folder.path() / "prompts.jsonl";
    const auto outcome = run_program(call.with(few + "--dry-run --prompts-out " + file.string() + options));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    std::ifstream in(file);
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  };
  const auto plain = prompts_of(""), chat = prompts_of(" --chat chatml");
  REQUIRE(plain.size() == 3);
  REQUIRE(chat.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(chat[i]["id"] == plain[i]["id"]);
    CHECK(chat[i]["task"] == "word_problems");
    CHECK(chat[i]["prompt"] ==
          "<|im_start|>user\n" + plain[i]["prompt"].get<std::string>() + "<|im_end|>\n<|im_start|>assistant\n");
  }
  std::filesystem::remove(call.folder.path() / "prompts.jsonl");
  call.refused(few + "--chat chat_ml", "chatml");
}

TEST_CASE("eval_model notes that a chat model is asked for completions, and names the format of its template") {
  EvalCall call;
  const test::TemporaryFolder copy;
  std::filesystem::copy(call.model, copy.path(), std::filesystem::copy_options::recursive);
  std::ofstream(copy.path() / "chat_template.jinja") << "{{ '<|start_header_id|>' + message['role'] }}";
  call.model = copy.path().string();
  const std::string one = "--tasks word_problems --limit 1 --shots 0 --max-new-tokens 4";
  const std::string note = "has a chat template and is asked for completions; --chat llama3 asks it";
  const auto completions = run_program(call.with(one));
  REQUIRE(completions.code == 0);
  CHECK_THAT(completions.err, ContainsSubstring("note: " + call.model + " " + note));
  std::filesystem::remove(call.out);
  const auto chat = run_program(call.with(one + " --chat llama3"));
  REQUIRE(chat.code == 0);
  CHECK_THAT(chat.err, !ContainsSubstring("chat template"));
}

TEST_CASE("eval_model asks through the cache that it is told, and says so in its file") {
  const EvalCall plain, dropping;
  REQUIRE(run_program(plain.with(few)).code == 0);
  REQUIRE(run_program(dropping.with(few + "--cache policy=streaming,budget=6")).code == 0);
  const auto record = read_evaluation(dropping.out);
  CHECK(record.tasks[0].replies[0].text != read_evaluation(plain.out).tasks[0].replies[0].text);
  const auto& facts = record.provenance;
  CHECK(std::find(facts.begin(), facts.end(),
                  FlatFields::value_type{"cache.policy", std::string("streaming")}) != facts.end());
}

TEST_CASE("eval_model compresses a context before its question is read, where there is one") {
  const EvalCall call;
  const std::string cache =
      " --limit 2 --max-new-tokens 8 --cache policy=snapkv,window=4,share=0.5,behind=context";
  const auto outcome = run_program(call.with("--tasks passkey,key_values" + cache));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("passkey") && ContainsSubstring("numbers"));
  const EvalCall other;
  other.refused("--tasks passkey,word_problems --shots 0" + cache, "word_problems: found prompts that are one");
}

TEST_CASE("eval_model that was killed goes on, and gives what an undisturbed call gives") {
  const EvalCall call, undisturbed;
  const std::string options = "--tasks word_problems --limit 12 --shots 0 --max-new-tokens 40 --batch 1";
  const std::string log = call.out.string() + ".partial.jsonl";
  REQUIRE(run_program(undisturbed.with(options)).code == 0);
  // Killed once three replies are in the log.
  const std::string command = (test::bin_dir() / call.with(options)).string();
  const std::string script = command + " 2>/dev/null & until [ \"$(cat " + log +
                             " 2>/dev/null | wc -l)\" -ge 4 ]; do sleep 0.05; done; kill -KILL $!; wait $!";
  CHECK(std::system(("bash -c '" + script + "' >/dev/null 2>&1").c_str()) != 0);
  REQUIRE(std::filesystem::exists(log));
  CHECK_FALSE(std::filesystem::exists(call.out));
  REQUIRE(run_program(call.with(options)).code == 0);
  CHECK_FALSE(std::filesystem::exists(log));
  const auto expected = read_evaluation(undisturbed.out).tasks[0], found = read_evaluation(call.out).tasks[0];
  REQUIRE(found.replies.size() == 12);
  for (size_t i = 0; i < 12; ++i) CHECK(found.replies[i].text == expected.replies[i].text);
}

TEST_CASE("eval_model runs programs in the sandbox, or refuses to") {
  const EvalCall call;
  const std::string code = "--tasks code_functions --limit 2 --max-new-tokens 60";
  if (Sandbox::unavailable()) {
    call.refused(code, "programs are never run without one");
    SKIP_TEST(*Sandbox::unavailable());
  }
  const auto outcome = run_program(call.with(code));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("code_functions  lm_eval   pass@1"));
}

TEST_CASE("without bubblewrap eval_model refuses code tasks before it loads a model") {
  const EvalCall call;
  const auto err = call.folder.path() / "err";
  const int status =
      std::system(("PATH=/nowhere " + (test::bin_dir() / call.with("--tasks code_functions")).string() + " 2>" +
                   err.string())
                      .c_str());
  CHECK(WEXITSTATUS(status) == 2);
  CHECK_THAT(read_file(err), ContainsSubstring("no sandbox: ") && ContainsSubstring("programs are never run"));
}

TEST_CASE("eval_model --dry-run says what so many problems can show, and writes nothing") {
  const EvalCall call;
  const auto outcome = run_program(call.with("--tasks word_problems --limit 100 --dry-run"));
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("word_problems: 100 problems") &&
                              ContainsSubstring("smallest difference between two models that shows") &&
                              !ContainsSubstring("at best"));
  CHECK(std::filesystem::is_empty(call.folder.path()));
  // Four greedy replies to a problem are one reply; four sampled ones are at best as good as 400 problems.
  const auto replies = [&](const std::string& options) {
    return run_program(call.with("--tasks word_problems --limit 100 --dry-run --samples 4 " + options)).out;
  };
  const auto many = run_program(call.with("--tasks word_problems --limit 400 --dry-run")).out;
  const std::string shows = "at 5 %): ";
  const auto at = many.find(shows) + shows.size();
  CHECK_THAT(replies("--temperature 0.5"), ContainsSubstring("; with 4 samples a problem at best " +
                                                             many.substr(at, many.find(" if", at) - at)));
  CHECK_THAT(replies(""), !ContainsSubstring("at best"));
}

TEST_CASE("eval_model --calibrate asks and scores in all ways, and says which explain a published number") {
  const EvalCall call;
  const auto outcome =
      run_program(call.with("--tasks word_problems --limit 4 --max-new-tokens 24 --batch 4 --calibrate 0.0"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto record = read_evaluation(call.out);
  CHECK(record.tasks.size() > 1);
  for (const auto& task : record.tasks) CHECK(task.judgements.size() == record.tasks[0].judgements.size());
  for (size_t i = 1; i < record.tasks.size(); ++i) CHECK(record.tasks[i].label != record.tasks[0].label);
  CHECK_THAT(outcome.out, ContainsSubstring("scored as") && ContainsSubstring(" explain 0 %: "));
  std::filesystem::remove(call.out);
  call.refused("--tasks word_problems --calibrate many", "--calibrate: found 'many'");
  call.refused("--tasks word_problems --calibrate 161", "--calibrate: found '161'");
  call.refused("--tasks word_problems,code_functions --calibrate 3", "expected one task");
  call.refused("--tasks word_problems --protocol lm_eval_strict --calibrate 3", "--protocol beside it");
}

TEST_CASE("eval_model refuses bad options in one line and writes nothing") {
  const EvalCall call;
  call.refused("--tasks word_problem", "did you mean 'word_problems'");
  call.refused("--tasks gsm8k", "a folder that scripts/fetch_data.sh filled");
  call.refused("--tasks word_problems --protocol human_eval", "lm_eval_strict");
  call.refused("--tasks word_problems --protocol lm_eval_strikt", "did you mean 'lm_eval_strict'");
  call.refused("--tasks word_problems --k 2", "found 2");
  call.refused("--tasks word_problems --samples 2", "temperature");
  call.refused("--tasks word_problems,word_problems", "another task has");
  call.refused("--tasks word_problems --temperature -1", "--temperature");
  call.refused("--tasks word_problems --cache policy=snapvk", "did you mean 'snapkv'?");
  call.refused("--tasks word_problems --cache policy=snapkv,budget=3", "--cache: budget: found 3");
  call.refused("--tasks word_problems --run x.h5", "--model DIR or --run FILE");
  check_refused("eval_model --run /no/such/seed0.h5 --tasks word_problems --out " + call.out.string(),
                "/no/such/seed0.h5");
}

}  // namespace
}  // namespace attnlab
