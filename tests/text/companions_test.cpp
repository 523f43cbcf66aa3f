// What the files beside a tokenizer add to it.
#include <fstream>
#include <map>

#include "core/errors.h"
#include "core/files.h"
#include "small_models.h"
#include "small_tokenizers.h"

using namespace attnlab;
using namespace attnlab::test;
using nlohmann::json;
using Ids = std::vector<int64_t>;
using Files = std::map<std::string, json>;

namespace {

// The small sentencepiece model has the ids 0 to 263, the byte-level tokenizer 0 to 102.
Tokenizer load_with(const std::string& name, const std::string& bytes, const Files& files) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / name, bytes);
  for (const auto& [file, content] : files) write_file_atomic(folder.path() / file, content.dump());
  return Tokenizer::load(folder.path());
}
Tokenizer sentencepiece_with(const Files& files) {
  return load_with("tokenizer.model", small_sentencepiece(), files);
}
Tokenizer json_with(const Files& files) { return load_with("tokenizer.json", byte_level_json().dump(), files); }

json token(const std::string& content, bool special = true) {
  return {{"content", content}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},    {"single_word", false}, {"special", special}};
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

const json kDecoder{{"264", token("<|a|>")}, {"265", token("<|b|>", false)}};

}  // namespace

TEST_CASE("tokens that a file beside tokenizer.model states get one id each") {
  const std::vector<Files> ways{
      {{"tokenizer_config.json",
        {{"added_tokens_decoder", kDecoder}, {"eos_token", "<|a|>"}, {"bos_token", "<s>"}}}},
      {{"added_tokens.json", {{"<|a|>", 264}, {"<|b|>", 265}}},
       {"special_tokens_map.json", {{"eos_token", token("<|a|>")}, {"bos_token", "<s>"}}}},
      {{"added_tokens.json", {{"<|a|>", 264}, {"<|b|>", 265}}},
       {"tokenizer_config.json", {{"eos_token", "<|a|>"}, {"bos_token", "<s>"}}}}};
  for (const Files& files : ways) {
    CAPTURE(files.begin()->second.dump());
    const Tokenizer tokenizer = sentencepiece_with(files);
    CHECK(tokenizer.vocab_size() == 266);
    CHECK(tokenizer.encode("<|a|>ab<|b|>b") == Ids{264, 263, 265, 259, 261});
    CHECK(tokenizer.encode("<s>ab</s>") == Ids{1, 263, 2});
    CHECK(tokenizer.encode("ab", true) == Ids{1, 263});
    CHECK(tokenizer.decode(Ids{264, 263, 265, 259, 261}, false) == "<|a|> ab<|b|> b");
    CHECK(tokenizer.decode(Ids{264, 263, 265, 259, 261}) == "ab<|b|> b");
    CHECK(tokenizer.eos_id() == 264);
    CHECK(tokenizer.bos_id() == 1);
    CHECK(tokenizer.token_id("<|b|>") == 265);
    CHECK(tokenizer.notes().empty());
  }
}

TEST_CASE("legacy, add_prefix_space and the class say which texts get a space in front") {
  const auto encode = [](const json& settings, const std::string& text) {
    json config{{"added_tokens_decoder", kDecoder}};
    config.update(settings);
    return sentencepiece_with({{"tokenizer_config.json", config}}).encode(text);
  };
  const Ids all{263, 264, 263}, first{263, 264, 262}, none{262, 264, 262};
  CHECK(encode(json::object(), "ab<|a|>ab") == all);
  CHECK(encode({{"legacy", true}}, "ab<|a|>ab") == all);
  CHECK(encode({{"legacy", false}}, "ab<|a|>ab") == first);
  CHECK(encode({{"legacy", false}}, "<|a|>ab") == Ids{264, 262});
  CHECK(encode({{"tokenizer_class", "LlamaTokenizer"}}, "ab<|a|>ab") == first);
  CHECK(encode({{"tokenizer_class", "LlamaTokenizer"}, {"legacy", true}}, "ab<|a|>ab") == all);
  CHECK(encode({{"add_prefix_space", false}}, "ab<|a|>ab") == none);
  CHECK(sentencepiece_with({{"tokenizer_config.json", {{"add_prefix_space", false}}}}).decode(Ids{263}) ==
        " ab");
  // None is put before a space by transformers' LlamaTokenizer, and without legacy.
  CHECK(encode({{"legacy", false}}, " ab<|a|>") == Ids{263, 264});
  CHECK(encode({{"legacy", true}}, "<|a|> ab") == Ids{264, 259, 263});
  CHECK(encode({{"tokenizer_class", "LlamaTokenizer"}, {"legacy", true}}, "<|a|> ab") == Ids{264, 263});
}

TEST_CASE("add_bos_token and add_eos_token say what stands around a text") {
  const auto encode = [](const json& config) {
    return sentencepiece_with({{"tokenizer_config.json", config}}).encode("ab", true);
  };
  CHECK(encode(json::object()) == Ids{1, 263});
  CHECK(encode({{"add_bos_token", false}}) == Ids{263});
  CHECK(encode({{"add_bos_token", true}, {"add_eos_token", true}}) == Ids{1, 263, 2});
  CHECK(encode({{"bos_token", nullptr}}) == Ids{263});
  CHECK(encode({{"bos_token", "</s>"}}) == Ids{2, 263});
}

TEST_CASE("a token that tokenizer_config.json alone states is added to a tokenizer.json") {
  const json decoder{{"103", token("<|eot|>")}, {"104", token("<|x|>")}};
  const Tokenizer tokenizer =
      json_with({{"tokenizer_config.json", {{"added_tokens_decoder", decoder}, {"eos_token", "<|eot|>"}}}});
  CHECK(tokenizer.eos_id() == 103);
  CHECK(tokenizer.encode("ab<|eot|><|x|><s>") == Ids{97, 103, 104, 102});
  CHECK(tokenizer.vocab_size() == 105);
  const Tokenizer listed = json_with({{"added_tokens.json", {{"<|eot|>", 103}}},
                                      {"special_tokens_map.json", {{"eos_token", {{"content", "<|eot|>"}}}}}});
  CHECK(listed.eos_id() == 103);
  CHECK(listed.encode("ab<|eot|>") == Ids{97, 103});
}

TEST_CASE("flags that tokenizer_config.json states replace those of tokenizer.json") {
  json strips = token("<s>");
  strips["lstrip"] = strips["rstrip"] = true;
  CHECK(json_with({}).encode("a <s> b").size() == 5);
  CHECK(
      json_with({{"tokenizer_config.json", {{"added_tokens_decoder", {{"102", strips}}}}}}).encode("a <s> b") ==
      Ids{64, 102, 65});
}

TEST_CASE("a special token that is only in the vocabulary is found in texts") {
  // "ab" is a token by a merge; a "b" that is named as special is cut out before anything else.
  const Tokenizer plain = json_with({}), named = json_with({{"tokenizer_config.json", {{"pad_token", "b"}}}});
  CHECK(plain.encode("abab") == Ids{97, 97});
  CHECK(named.encode("abab") == Ids{64, 65, 64, 65});
  CHECK(named.decode(named.encode("abab")) == "aa");
}

TEST_CASE("companions that contradict the tokenizer are refused with file and key") {
  const auto refused = [](const Files& files) { return refusal([&] { json_with(files); }); };
  const auto decoder = [](const json& tokens) {
    return Files{{"tokenizer_config.json", {{"added_tokens_decoder", tokens}}}};
  };
  CHECK_THAT(
      refused(decoder({{"110", token("<|a|>")}})),
      ContainsSubstring("tokenizer_config.json: added_tokens_decoder.110: found the id 110, expected 103, the "
                        "next one behind the tokens of tokenizer.json"));
  CHECK_THAT(
      refused(decoder({{"103", token("ab")}})),
      ContainsSubstring("added_tokens_decoder.103: found the id 103, expected 97, the id that it has in"));
  CHECK_THAT(refused(decoder({{"x", token("<|a|>")}})), ContainsSubstring("found the key 'x', expected ids"));
  CHECK_THAT(refused(decoder({{"103", "<|a|>"}})), ContainsSubstring("accepted"));
  CHECK_THAT(refused(decoder({{"103", 3}})),
             ContainsSubstring("added_tokens_decoder.103: found 3, expected a string"));
  CHECK_THAT(refused(decoder({{"103", {{"content", ""}}}})), ContainsSubstring("at least one character"));
  CHECK_THAT(refused(decoder({{"103", {{"contnt", "a"}}}})), ContainsSubstring("did you mean 'content'"));
  CHECK_THAT(refused(decoder(json::array())), ContainsSubstring("added_tokens_decoder: found an array"));
  CHECK_THAT(refused({{"added_tokens.json", {{"<|a|>", 104}}}}),
             ContainsSubstring("added_tokens.json: <|a|>: found the id 104, expected 103"));
  CHECK_THAT(refused({{"added_tokens.json", {{"<|a|>", "103"}}}}),
             ContainsSubstring("added_tokens.json: <|a|>: found \"103\", expected a whole number"));
  CHECK_THAT(refused({{"added_tokens.json", json::array()}}),
             ContainsSubstring("added_tokens.json: found array"));
  CHECK_THAT(refused({{"special_tokens_map.json", {{"eos_token", "</s>"}}}}),
             ContainsSubstring("special_tokens_map.json: eos_token: found \"</s>\", expected a token of the "
                               "tokenizer.json beside it"));
  CHECK_THAT(refused({{"tokenizer_config.json", {{"legacy", "no"}}}}),
             ContainsSubstring("tokenizer_config.json: legacy: found \"no\", expected true or false"));
  CHECK_THAT(
      refusal([] {
        sentencepiece_with({{"added_tokens.json", {{"<|a|>", 5}}}});
      }),
      ContainsSubstring("found the id 5, expected 264, the next one behind the tokens of tokenizer.model"));
}

TEST_CASE("what companions say and is not read is told in a note") {
  const auto notes = [](const Files& files) { return json_with(files).notes(); };
  const json decoder{{"102", token("<s>")}};
  const json config{{"added_tokens_decoder", decoder}, {"bos_token", "<s>"}};
  CHECK(notes({{"tokenizer_config.json", config},
               {"special_tokens_map.json", {{"bos_token", "<s>"}}},
               {"added_tokens.json", {{"<s>", 102}}}})
            .empty());
  const auto stale = notes({{"tokenizer_config.json", config},
                            {"special_tokens_map.json", {{"bos_token", "ab"}}},
                            {"added_tokens.json", {{"<|z|>", 103}}}});
  REQUIRE(stale.size() == 2);
  CHECK_THAT(stale[0], ContainsSubstring("special_tokens_map.json: bos_token 'ab' is not read"));
  CHECK_THAT(stale[1], ContainsSubstring("added_tokens.json: '<|z|>' is not read"));
  const auto missing = notes(
      {{"tokenizer_config.json", {{"pad_token", "<|p|>"}, {"additional_special_tokens", {"<|q|>", "ab"}}}}});
  REQUIRE(missing.size() == 1);
  CHECK_THAT(missing[0],
             ContainsSubstring("2 named special tokens are none of tokenizer.json and are not added") &&
                 ContainsSubstring("first: pad_token '<|p|>'"));
  const auto lower =
      notes({{"tokenizer_config.json",
              {{"do_lower_case", true}, {"strip_accents", nullptr}, {"split_special_tokens", false}}}});
  REQUIRE(lower.size() == 1);
  CHECK_THAT(lower[0], ContainsSubstring("do_lower_case is not read"));
}

TEST_CASE("stored truncation and padding are read, told and not applied") {
  json file = byte_level_json();
  file["truncation"] = {{"direction", "Right"}, {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {
      {"strategy", {{"Fixed", 9}}}, {"direction", "Right"}, {"pad_to_multiple_of", nullptr}, {"pad_id", 0},
      {"pad_type_id", 0},           {"pad_token", "!"}};
  const Tokenizer tokenizer = load_json(file);
  CHECK(tokenizer.encode("ababab") == Ids{97, 97, 97});
  REQUIRE(tokenizer.notes().size() == 2);
  CHECK_THAT(tokenizer.notes()[0], ContainsSubstring("tokenizer.json: its truncation is not applied"));
}

TEST_CASE("a tokenizer's hash is of all that is read") {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "tokenizer.json", byte_level_json().dump());
  const std::string alone = Tokenizer::sha256_of(folder.path());
  CHECK(alone == sha256_file(folder.path() / "tokenizer.json"));
  write_file_atomic(folder.path() / "added_tokens.json", "{\"<|a|>\": 103}");
  const std::string with = Tokenizer::sha256_of(folder.path());
  CHECK(with != alone);
  CHECK(Tokenizer::files_of(folder.path()).size() == 2);
  write_file_atomic(folder.path() / "added_tokens.json", "{\"<|b|>\": 103}");
  CHECK(Tokenizer::sha256_of(folder.path()) != with);
}

TEST_CASE("tokenizers with companions give the ids that transformers gives") {
  const auto reports = shared_dir() / "fixtures" / "reports";
  int rows = 0;
  for (const char* name : {"01-tokenizer-truncation-stored", "35d-eos-only-in-added-tokens-decoder",
                           "39f-sp-with-added-tokens-json"}) {
    const auto folder = reports / name;
    if (!std::filesystem::exists(folder)) SKIP_TEST("no reference data at " + folder.string());
    const Tokenizer tokenizer = Tokenizer::load(folder);
    std::ifstream texts(folder / "texts.jsonl"), expected(folder / "expect.jsonl");
    for (std::string text, want; std::getline(texts, text) && std::getline(expected, want); ++rows) {
      INFO(name << ": " << text);
      CHECK(tokenizer.encode(json::parse(text).at("text").get<std::string>()) ==
            json::parse(want).at("ids").get<Ids>());
    }
  }
  CHECK(rows == 33);
}
