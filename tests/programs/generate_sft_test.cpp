// generate_sft as a user calls it.
#include <nlohmann/json.hpp>

#include "core/gzip.h"
#include "core/jsonl.h"
#include "run_program.h"

namespace attnlab::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct SftCall {
  TemporaryFolder folder;
  fs::path out = folder.path() / "kept.jsonl.gz";

  std::string with(const std::string& options) const {
    return "generate_sft --model " + base() + " --out " + out.string() + " " + options;
  }
  void refused(const std::string& options, const std::string& message) const {
    check_refused(with(options), message);
    CHECK(fs::is_empty(folder.path()));
  }
};

const std::string few_problems = "--task word_problems --limit 12 --shots 0 --samples 3 --max-new-tokens 64 ";

TEST_CASE("generate_sft keeps right answers, tells where they come from, and training reads them") {
  const SftCall call;
  const auto outcome = run_program(call.with(few_problems + "--batch 8"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_FALSE(fs::exists(call.out.string() + ".partial.jsonl"));
  int64_t lines = 0;
  for_each_record(call.out, [&](const Record& record) {
    ++lines;
    REQUIRE(record.object.at("messages").size() == 2);
    CHECK_THAT(record.object.at("messages")[1].at("content").get<std::string>(), ContainsSubstring("####"));
  });
  const json facts = json::parse(read_file(call.out.string() + ".provenance.json"));
  CHECK(facts.at("kept") == lines);
  CHECK(facts.at("replies") == 36);
  CHECK(facts.at("right").get<int64_t>() >= lines);
  CHECK(facts.at("lines_sha256") == sha256(read_text_file(call.out)));
  CHECK(facts.contains("weights_sha256"));
  const auto trained = run_program(
      "run_ablation --config " + (source_dir() / "experiments/quickstart/exp.yaml").string() + " --out " +
      (call.folder.path() / "run").string() + " --set 'data={kind: chat_jsonl, path: " + call.out.string() +
      ", prompt_template: chatml, heldout_share: 0.2}' --set train.steps=1 --set eval.problems=0 "
      "--set eval.heldout_examples=1 --set eval.tasks=[] --set 'claims={}' --set base.path=" +
      base() + " --dry-run");
  INFO(trained.err);
  CHECK(trained.code == 0);
}

TEST_CASE("generate_sft that was killed goes on, and gives the bytes of an undisturbed call") {
  const SftCall call, undisturbed;
  const std::string options = few_problems + "--batch 1";
  const std::string log = call.out.string() + ".partial.jsonl";
  REQUIRE(run_program(undisturbed.with(options)).code == 0);
  const std::string script = (bin_dir() / call.with(options)).string() + " 2>/dev/null & until [ \"$(cat " +
                             log +
                             " 2>/dev/null | wc -l)\" -ge 6 ]; do sleep 0.05; done; kill -KILL $!; wait $!";
  CHECK(std::system(("bash -c '" + script + "' >/dev/null 2>&1").c_str()) != 0);
  CHECK_FALSE(fs::exists(call.out));
  REQUIRE(run_program(call.with(options)).code == 0);
  CHECK(read_file(call.out) == read_file(undisturbed.out));
}

TEST_CASE("generate_sft refuses what it can't do, and writes nothing") {
  const SftCall call;
  call.refused("", "--task");
  call.refused("--task humaneval", "of which no training problems are known");
  call.refused("--task gsm8k --data /nowhere", "--data: found no /nowhere/gsm8k/train.jsonl");
  call.refused("--task word_problems --keep right", "--keep");
  call.refused("--task word_problems --cap -1", "--cap");
  call.refused("--task word_problems --samples 0", "--samples");
  call.refused("--task word_problems --chat chatmil", "did you mean 'chatml'");
  call.refused("--task word_problems --form alpaca", "chat");
}

}  // namespace
}  // namespace attnlab::test
