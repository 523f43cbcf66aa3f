// generate_text as a user calls it.
#include <nlohmann/json.hpp>

#include "own_layout.h"
#include "run_program.h"

namespace attnlab::test {
namespace {

std::string generate_command(const std::string& options) {
  return "generate_text --device cpu --model '" + (source_dir() / "data" / "base_small").string() + "' " +
         options;
}

std::string text_of(const std::string& options) {
  const Ran outcome = run_program(generate_command(options));
  INFO(options << ": " << outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.err, ContainsSubstring("tokens/s"));
  return outcome.out;
}

constexpr const char* kPrompt =
    "--prompt 'Question: Tom has 5 apples and buys 7. How many has he now?\nAnswer: '";

TEST_CASE("generate_text prints the prompt and goes on with it, or the continuation alone") {
  const std::string whole = text_of(std::string(kPrompt) + " --max-new-tokens 12");
  const std::string fresh = text_of(std::string(kPrompt) + " --max-new-tokens 12 --only-new");
  const std::string prompt = "Question: Tom has 5 apples and buys 7. How many has he now?\nAnswer: ";
  CHECK(whole == prompt + fresh);
  CHECK(fresh.size() > 4);
  // Pieces of the prompt change nothing.
  CHECK(text_of(std::string(kPrompt) + " --max-new-tokens 12 --prefill-chunk 3") == whole);
}

TEST_CASE("generate_text goes on with a converted model, and ends where its config.json says") {
  const OwnLayout own;
  const std::string options = std::string(kPrompt) + " --max-new-tokens 96 --only-new";
  const std::string same = "generate_text --device cpu --model '" + own.path() + "' " + options;
  const Ran outcome = run_program(same);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out == text_of(options));
  // Now every token is an end token.
  nlohmann::json config = nlohmann::json::parse(read_file(own.path() + "/config.json"));
  config["eos_token_id"] = nlohmann::json::array();
  for (int64_t id = 0; id < 1024; ++id) config["eos_token_id"].push_back(id);
  own.write(config);
  const Ran none = run_program(same);
  CHECK(none.out == "\n");
  CHECK_THAT(none.err, ContainsSubstring("tokens/s), 0 generated\n"));
  CHECK(none.err.find("inf") == std::string::npos);
}

TEST_CASE("generate_text names no speed where there is nothing to divide") {
  const Ran one = run_program(generate_command(std::string(kPrompt) + " --max-new-tokens 1"));
  CHECK_THAT(one.err, ContainsSubstring(", 1 generated\n"));
  const Ran two = run_program(generate_command(std::string(kPrompt) + " --max-new-tokens 2"));
  CHECK_THAT(two.err, ContainsSubstring(", 2 generated in "));
}

TEST_CASE("generate_text tells a chat format that is not the tokenizer's, and more tokens than positions") {
  const Ran foreign = run_program(generate_command("--prompt hi --max-new-tokens 1 --chat llama3"));
  CHECK(foreign.code == 0);
  CHECK_THAT(foreign.err, ContainsSubstring("note: --chat llama3: the tokenizer has no <|eot_id|> or"));
  const Ran far = run_program(generate_command("--prompt hi --max-new-tokens 100000 --stop e"));
  CHECK_THAT(far.err, ContainsSubstring("tokens with those to come, and the model was made for "));
}

TEST_CASE("generate_text samples by its seed") {
  const std::string sampled =
      std::string(kPrompt) + " --max-new-tokens 24 --only-new --temperature 1.5 --seed ";
  const std::string first = text_of(sampled + "1");
  CHECK(text_of(sampled + "1") == first);
  CHECK(text_of(sampled + "2") != first);
  const std::string greedy = text_of(std::string(kPrompt) + " --max-new-tokens 24 --only-new");
  CHECK(text_of(sampled + "1 --top-k 1") == greedy);
  CHECK(text_of(sampled + "1 --top-p 0.000001") == greedy);
}

TEST_CASE("generate_text ends before a stop string") {
  const std::string free = text_of(std::string(kPrompt) + " --max-new-tokens 12 --only-new");
  REQUIRE(free.size() > 6);
  const std::string stop = free.substr(4, 2);
  const std::string cut =
      text_of(std::string(kPrompt) + " --max-new-tokens 12 --only-new --stop '" + stop + "'");
  CHECK(cut == free.substr(0, free.find(stop)) + "\n");
}

TEST_CASE("generate_text keeps its cache as it is told") {
  const std::string plain = std::string(kPrompt) + " --max-new-tokens 24 --only-new";
  const std::string whole = text_of(plain);
  CHECK(text_of(plain + " --cache policy=h2o,budget=200") == whole);
  CHECK(text_of(plain + " --cache policy=streaming,budget=6,sinks=2") != whole);
  const std::string by_layer =
      text_of(plain + " --cache 'policy=window,layer_budgets=[4,200,200,200,200,200]'");
  CHECK(text_of(plain + " --cache 'policy=window,layer_budgets=[4,200,200,200,200,200]' --prefill-chunk 5") ==
        by_layer);
  const Ran idle = run_program(generate_command(plain + " --cache policy=tova,alpha=0.5"));
  CHECK_THAT(idle.err, ContainsSubstring("note: --cache alpha: 0.5 has no effect: policy tova"));
}

TEST_CASE("generate_text refuses a cache that can't be, in the words of a config") {
  const auto refused = [](const std::string& cache, const std::string& text) {
    check_refused(generate_command("--prompt hi --cache '" + cache + "'"), text);
  };
  refused("policy=snapvk", "policy: found 'snapvk' (did you mean 'snapkv'?)");
  refused("polcy=h2o", "did you mean 'policy'?");
  refused("policy=h2o,budget=0", "budget: found '0', expected a whole number of at least 1");
  refused("policy=snapkv,budget=5", "--cache: budget: found 5, expected at least 32");
  refused("policy=h2o,policy=tova", "policy: found it twice");
  refused("policy", "expected KEY=VALUE");
  refused("policy=snapkv,behind=context", "behind: found context, expected prompt");
  refused("policy=window,layer_budgets=[4,5]", "found 2 numbers, expected one for each of the");
}

TEST_CASE("generate_text refuses what it cannot do, in one line") {
  check_refused("generate_text --prompt hi", "--model");
  check_refused(generate_command(""), "--prompt TEXT or --prompt-file FILE");
  check_refused(generate_command("--prompt a --prompt-file b"), "one of the two");
  check_refused(generate_command("--prompt hi --chat lama3"), "did you mean 'llama3'?");
  check_refused(generate_command("--prompt hi --system x"), "--system needs --chat");
  check_refused(generate_command("--prompt hi --temperature -1"), "--temperature");
  check_refused(generate_command("--prompt hi --top-p 0"), "--top-p");
  check_refused(generate_command("--prompt hi --max-new-tokens 0"), "--max-new-tokens");
  check_refused(generate_command("--prompt hi --dtype float8"), "float8");
  check_refused(generate_command("--prompt hi --tokenizer /nowhere"), "/nowhere");
}

TEST_CASE("generate_text writes the story that Hugging Face transformers writes") {
  const auto folder = shared_dir() / "fixtures" / "stories260k";
  if (!std::filesystem::exists(folder)) SKIP_TEST("no reference checkpoint beside the checkout");
  const auto reference = nlohmann::json::parse(read_file(folder / "reference.json"));
  const Ran outcome =
      run_program("generate_text --device cpu --model '" + folder.string() +
                  "' --max-new-tokens 200 --prompt '" + reference.at("prompt").get<std::string>() + "'");
  CHECK(outcome.code == 0);
  CHECK(outcome.out == reference.at("greedy_text").get<std::string>() + "\n");
}

}  // namespace
}  // namespace attnlab::test
