// One case for each rule of what a tokenizer.json may say: the message names the key and what would be valid.
#include <functional>

#include "core/errors.h"
#include "small_tokenizers.h"
#include "text/tokenizer_json.h"

using namespace attnlab;
using namespace attnlab::test;
using nlohmann::json;

namespace {

// The message that the changed file is refused with; "" if it is accepted.
std::string message(const json& file) {
  try {
    load_json(file);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

void check_refused(const std::function<void(json&)>& change, const std::string& key,
                   const std::string& expected) {
  json file = byte_level_json();
  REQUIRE(message(file).empty());
  change(file);
  const std::string text = message(file);
  CHECK_THAT(text, ContainsSubstring("tokenizer.json: " + key + ": found "));
  CHECK_THAT(text, ContainsSubstring(expected));
}

json split(const json& pattern) {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", "Isolated"}, {"invert", false}};
}

}  // namespace

TEST_CASE("components that are not supported are refused by name") {
  check_refused([](json& f) { f["model"]["type"] = "WordPiece"; }, "model.type", "one of BPE");
  check_refused([](json& f) { f["model"] = {{"vocab", {{"a", 0}}}}; }, "model.type", "a value");
  check_refused([](json& f) { f["normalizer"] = {{"type", "StripAccents"}}; }, "normalizer.type", "NFC");
  check_refused([](json& f) { f["normalizer"] = {{"type", "NFX"}}; }, "normalizer.type", "did you mean 'NFC'");
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
      },
      "pre_tokenizer.type", "Metaspace");
  check_refused([](json& f) { f["decoder"] = {{"type", "WordPiece"}}; }, "decoder.type", "ByteFallback");
  check_refused(
      [](json& f) {
        f["post_processor"] = {{"type", "BertProcessing"}};
      },
      "post_processor.type", "TemplateProcessing");
}

TEST_CASE("a component inside a Sequence is named by its place") {
  check_refused(
      [](json& f) {
        f["normalizer"] = {{"type", "Sequence"},
                           {"normalizers", json::array({{{"type", "NFC"}}, {{"type", "StripAccents"}}})}};
      },
      "normalizer.normalizers[1].type", "Prepend and 4 more");
}

TEST_CASE("unknown keys are refused") {
  check_refused([](json& f) { f["normaliser"] = 1; }, "normaliser", "did you mean 'normalizer'");
  check_refused([](json& f) { f["model"]["byte_fallbck"] = true; }, "model.byte_fallbck", "byte_fallback");
  check_refused([](json& f) { f["pre_tokenizer"]["use_rgx"] = true; }, "pre_tokenizer.use_rgx", "use_regex");
  check_refused([](json& f) { f["added_tokens"][0]["stripped"] = true; }, "added_tokens[0].stripped", "lstrip");
}

TEST_CASE("settings that would change the ids are refused") {
  check_refused([](json& f) { f["truncation"] = 5; }, "truncation", "an object or null");
  check_refused([](json& f) { f["padding"] = "longest"; }, "padding", "an object or null");
  check_refused([](json& f) { f["model"]["dropout"] = 0.1; }, "model.dropout", "null or 0");
  check_refused([](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, "model.end_of_word_suffix", "null");
  check_refused([](json& f) { f["model"]["continuing_subword_prefix"] = "##"; },
                "model.continuing_subword_prefix", "null");
}

TEST_CASE("wrong types are refused") {
  check_refused([](json& f) { f["model"]["fuse_unk"] = "no"; }, "model.fuse_unk", "true or false");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = -1; }, "model.vocab.a", "whole number");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = 1.5; }, "model.vocab.a", "whole number");
  check_refused([](json& f) { f["model"]["vocab"] = json::array(); }, "model.vocab", "an object");
  check_refused([](json& f) { f["model"]["merges"] = 3; }, "model.merges", "an array");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = 3; }, "added_tokens[0].content", "a string");
  check_refused([](json& f) { f["model"] = 3; }, "model", "an object");
  check_refused([](json& f) { f.erase("model"); }, "model", "a value");
}

TEST_CASE("ids must be unique and near the number of tokens") {
  check_refused([](json& f) { f["model"]["vocab"]["a"] = f["model"]["vocab"]["b"]; }, "model.vocab.b",
                "no other");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = 2'000'000'000; }, "model.vocab.a", "number of tokens");
  check_refused([](json& f) { f["added_tokens"][0]["id"] = 5; }, "added_tokens[0].id", "no other token");
  check_refused([](json& f) { f["added_tokens"][0]["id"] = 2'000'000'000; }, "added_tokens[0].id", "near");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = "ab"; }, "added_tokens[0].id", "97");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = ""; }, "added_tokens[0].content",
                "one character");
}

TEST_CASE("merges and the unknown token must be in the vocabulary") {
  check_refused([](json& f) { f["model"]["merges"][0] = "b q"; }, "model.merges[0]", "vocabulary");
  check_refused([](json& f) { f["model"]["merges"][1] = "abc"; }, "model.merges[1]", "two tokens");
  check_refused([](json& f) { f["model"]["merges"][1] = {"a", "b", "c"}; }, "model.merges[1]", "two tokens");
  check_refused([](json& f) { f["model"]["unk_token"] = "<unk>"; }, "model.unk_token", "vocabulary");
}

TEST_CASE("patterns that mean something else in our regex engine are refused") {
  for (const char* bad :
       {"(", "\\h+", "\\bx", "[^\\W]", "a{2}++", "a{,2}+", "|{2}+", "(?m:.)", "[a&&b]", "[a[b]]"}) {
    INFO(bad);
    check_refused(
        [&](json& f) {
          f["pre_tokenizer"] = split({{"Regex", bad}});
        },
        "pre_tokenizer.pattern.Regex", "not supported");
  }
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = split({{"String", ""}});
      },
      "pre_tokenizer.pattern.String", "empty");
  check_refused([](json& f) { f["pre_tokenizer"] = split(json::object()); }, "pre_tokenizer.pattern", "either");
}

TEST_CASE("closed sets are checked") {
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = split({{"String", "a"}});
        f["pre_tokenizer"]["behavior"] = "Isolate";
      },
      "pre_tokenizer.behavior", "did you mean 'Isolated'");
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "allways"}};
      },
      "pre_tokenizer.prepend_scheme", "did you mean 'always'");
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "__"}};
      },
      "pre_tokenizer.replacement", "one character");
  check_refused(
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "Metaspace"},
                              {"replacement", "▁"},
                              {"add_prefix_space", false},
                              {"prepend_scheme", "first"}};
      },
      "pre_tokenizer.prepend_scheme", "never");
}

TEST_CASE("a template needs one text and known special tokens") {
  const auto with = [](const json& single) {
    return [single](json& f) {
      f["post_processor"] = {
          {"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", json::object()}};
    };
  };
  const auto sequence = [](const char* id) { return json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
  check_refused(with(json::array()), "post_processor.single", "exactly one");
  check_refused(with({sequence("A"), sequence("A")}), "post_processor.single", "exactly one");
  check_refused(with(json::array({sequence("B")})), "post_processor.single[0].Sequence.id", "\"A\"");
  check_refused(with({json{{"SpecialToken", {{"id", "<t>"}, {"type_id", 0}}}}, sequence("A")}),
                "post_processor.special_tokens.<t>", "a value");
}

TEST_CASE("a template's ids must be tokens") {
  check_refused(
      [](json& f) {
        f["post_processor"] = {
            {"type", "TemplateProcessing"},
            {"single",
             {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {5000}}, {"tokens", {"<s>"}}}}}}};
      },
      "post_processor", "none with the id 5000");
}

TEST_CASE("Sequences inside each other without end are refused") {
  const auto nested = [](const char* component, const char* list) {
    return [=](json& f) {
      json inner = {{"type", "Sequence"}, {list, json::array()}};
      for (int depth = 0; depth < 5000; ++depth) {
        json outer = {{"type", "Sequence"}, {list, json::array()}};
        outer[list].push_back(std::move(inner));
        inner = std::move(outer);
      }
      f[component] = std::move(inner);
    };
  };
  const auto check = [&](const std::string& component, const std::string& list) {
    std::string key = component;
    for (int depth = 0; depth < text::deepest_sequence; ++depth) key += "." + list + "[0]";
    check_refused(nested(component.c_str(), list.c_str()), key, text::too_deep);
  };
  check("post_processor", "processors");
  check("normalizer", "normalizers");
  check("pre_tokenizer", "pretokenizers");
  check("decoder", "decoders");
}

TEST_CASE("replacements that multiply a text without end stop") {
  const auto doubling = [](const char* from) {
    return json{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", std::string(from) + from}};
  };
  const auto steps = [](const json& step, const char* list) {
    return json{{"type", "Sequence"}, {list, std::vector<json>(60, step)}};
  };
  json file = byte_level_json();
  file["normalizer"] = steps(doubling("a"), "normalizers");
  CHECK(load_json(file).encode("b") == load_json(byte_level_json()).encode("b"));
  CHECK_THROWS_AS(load_json(file).encode("a"), RunError);
  file = byte_level_json();
  file["pre_tokenizer"] = steps(file["pre_tokenizer"], "pretokenizers");
  CHECK_THROWS_AS(load_json(file).encode("é"), RunError);
  file = byte_level_json();
  file["decoder"] = steps(doubling("a"), "decoders");
  CHECK_THROWS_AS(load_json(file).decode(std::vector<int64_t>{*load_json(file).token_id("a")}), RunError);
}

TEST_CASE("malformed JSON is refused with its line, a missing file by its path") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "tokenizer.json") << "{\n\"model\": {\n]\n}";
  CHECK_THROWS_WITH(Tokenizer::load(folder.path()), ContainsSubstring("tokenizer.json:3: "));
  std::ofstream(folder.path() / "tokenizer.json") << "{\"model\": 1e999}";
  CHECK_THROWS_WITH(Tokenizer::load(folder.path()), ContainsSubstring("a number"));
  std::ofstream(folder.path() / "tokenizer.json") << "\xFF";
  CHECK_THROWS_WITH(Tokenizer::load(folder.path()), ContainsSubstring("tokenizer.json:1: "));
  CHECK_THROWS_AS(Tokenizer::load(folder.path() / "nowhere.json"), InputError);
}
