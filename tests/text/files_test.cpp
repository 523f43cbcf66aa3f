// tokenizer.model, rank files, and which file of a folder is read.
#include "core/files.h"

#include <random>
#include <unordered_map>
#include <unordered_set>

#include "core/errors.h"
#include "small_models.h"
#include "small_tokenizers.h"

using namespace attnlab;
using namespace attnlab::test;
using Ids = std::vector<int64_t>;

namespace {

// As many random tokens as llama3 has ranks, concatenations of earlier ones among them, so that merges nest.
std::vector<std::string> many_tokens(size_t count) {
  std::vector<std::string> tokens = all_bytes();
  std::unordered_set<std::string> seen(tokens.begin(), tokens.end());
  std::mt19937 random(3);
  while (tokens.size() < count) {
    // Mostly of the letters a to h, so that short texts meet merges.
    const bool letters = random() % 4 != 0;
    const auto draw = [&] { return letters ? tokens['a' + random() % 8] : tokens[random() % tokens.size()]; };
    std::string token = draw() + tokens[random() % tokens.size()];
    if (token.size() <= 12 && seen.insert(token).second) tokens.push_back(std::move(token));
  }
  return tokens;
}

// The naive twin: merge the neighbours whose concatenation has the lowest rank until none has one.
Ids naive_merges(const std::string& word, const std::unordered_map<std::string, int64_t>& ranks) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  if (ranks.contains(word)) parts = {word};
  for (;;) {
    size_t best = parts.size();
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + parts[i + 1]);
      if (found == ranks.end()) continue;
      if (best == parts.size() || found->second < ranks.at(parts[best] + parts[best + 1])) best = i;
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string& part : parts) ids.push_back(ranks.at(part));
  return ids;
}

void check_refused(const std::string& name, const std::string& bytes, const std::string& place,
                   const std::string& expected) {
  INFO(expected);
  CHECK_THROWS_AS(load_bytes(name, bytes), InputError);
  CHECK_THROWS_WITH(load_bytes(name, bytes),
                    ContainsSubstring(name + place + ": found") && ContainsSubstring(expected));
}

}  // namespace

TEST_CASE("a sentencepiece model encodes and decodes as its pieces say") {
  const Tokenizer tokenizer = load_bytes("tokenizer.model", small_sentencepiece());
  CHECK(tokenizer.vocab_size() == 264);
  CHECK(tokenizer.encode("ab b") == Ids{263, 259, 261});
  CHECK(tokenizer.encode("ab", true) == Ids{1, 263});
  CHECK(tokenizer.encode("é") == Ids{259, 3 + 0xC3, 3 + 0xA9});
  CHECK(tokenizer.encode("\xFF") == Ids{259, 3 + 0xEF, 3 + 0xBF, 3 + 0xBD});  // malformed: U+FFFD
  CHECK(tokenizer.encode("") == Ids{});
  CHECK(tokenizer.decode(Ids{263, 259, 261}) == "ab b");
  CHECK(tokenizer.decode(Ids{259, 3 + 0xC3}) == "\xEF\xBF\xBD");
  CHECK(tokenizer.token_id("▁ab") == 263);
  CHECK_FALSE(tokenizer.token_id("c").has_value());
  CHECK(tokenizer.bos_id() == 1);
  CHECK(tokenizer.eos_id() == 2);
  CHECK(tokenizer.longest_token_bytes() == 6);
}

TEST_CASE("control pieces are spelled out unless they are skipped, and text does not spell them") {
  const Tokenizer tokenizer = load_bytes("tokenizer.model", small_sentencepiece());
  CHECK(tokenizer.decode(Ids{1, 263, 2, 263}, false) == "<s> ab</s> ab");
  CHECK(tokenizer.decode(Ids{1, 263, 2, 263}) == "ab ab");
  CHECK(tokenizer.decode(Ids{-1, 263, 100000}) == "ab");
  const Ids spelled = tokenizer.encode("<s>");
  CHECK(std::find(spelled.begin(), spelled.end(), 1) == spelled.end());
  CHECK(tokenizer.decode(spelled) == "<s>");
}

TEST_CASE("a damaged sentencepiece model is refused") {
  const std::string model = small_sentencepiece();
  const auto refused = [](const std::string& bytes, const std::string& found) {
    CHECK_THROWS_WITH(load_bytes("tokenizer.model", bytes),
                      ContainsSubstring("tokenizer.model: found") && ContainsSubstring(found));
  };
  refused("", "none, or not all");
  refused("no model", "none, or not all");
  refused(model.substr(0, model.size() - 3), "not all");
  refused(model.substr(0, piece("<unk>", 0, PieceType::unknown).size()), "not all");  // between two pieces
  refused(std::string("\x0A\xFF\xFF\xFF\xFF\x7F", 6) + model, "not all");             // a length of 34 GB
  refused(piece("ab", 0, PieceType::normal) + model, "refuses");                      // a piece twice
}

TEST_CASE("random damage to a sentencepiece model ends in an error or a tokenizer") {
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string model = small_sentencepiece();
    for (int i = 0; i < 3; ++i) model[random() % model.size()] = static_cast<char>(random());
    try {
      const Tokenizer tokenizer = load_bytes("tokenizer.model", model);
      tokenizer.decode(tokenizer.encode("ab é"), false);
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("a rank file merges as its ranks say") {
  const std::vector<std::string> tokens = many_tokens(128000);
  std::unordered_map<std::string, int64_t> ranks;
  for (size_t rank = 0; rank < tokens.size(); ++rank) ranks[tokens[rank]] = static_cast<int64_t>(rank);
  const Tokenizer tokenizer = load_bytes("tokenizer.model", rank_file(tokens));  // told by what it holds
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string word(1 + random() % 20, ' ');
    for (char& c : word) c = static_cast<char>('a' + random() % 8);
    INFO(word);
    CHECK(tokenizer.encode(word) == naive_merges(word, ranks));
    CHECK(tokenizer.decode(tokenizer.encode(word)) == word);
  }
}

TEST_CASE("the encoding of a rank file brings its special tokens") {
  const Tokenizer llama = load_bytes("a.tiktoken", rank_file(many_tokens(128000)));
  CHECK(llama.vocab_size() == 128256);
  CHECK(llama.bos_id() == 128000);
  CHECK(llama.eos_id() == 128001);
  CHECK(llama.encode("<|eot_id|>", true) == Ids{128000, 128009});
  CHECK(llama.token_id("<|reserved_special_token_247|>") == 128255);
  const Tokenizer qwen = load_bytes("a.tiktoken", rank_file(many_tokens(151643)));
  CHECK(qwen.vocab_size() == 151665);
  CHECK_FALSE(qwen.bos_id().has_value());
  CHECK(qwen.eos_id() == 151643);
  CHECK(qwen.encode("<|im_end|><tool_call>", true) == Ids{151645, 151657});
  CHECK(qwen.decode(Ids{151645, 151657}) == "<tool_call>");
  CHECK(qwen.decode(Ids{151645, 151657}, false) == "<|im_end|><tool_call>");
}

TEST_CASE("a rank file that is wrong is refused with its line") {
  const std::string bytes = rank_file(all_bytes());
  check_refused("a.tiktoken", bytes, "", "llama3 (128000), qwen (151643)");
  check_refused("a.tiktoken", bytes + "YQ 256\n", ":257", "base64");
  check_refused("a.tiktoken", bytes + "Y!== 256\n", ":257", "base64");
  check_refused("a.tiktoken", bytes + "YWI= 255\n", ":257", "line 256");
  check_refused("a.tiktoken", bytes + "YQ== 256\n", ":257", "not there twice");
  check_refused("a.tiktoken", bytes + "YWI= 300\n", ":257", "0 to 256");
  check_refused("a.tiktoken", bytes + "YWI= -1\n", ":257", "whole number");
  check_refused("a.tiktoken", bytes + "YWI= 99999999999\n", ":257", "whole number");
  check_refused("a.tiktoken", bytes + "YWI=\n", ":257", "one space");
  check_refused("a.tiktoken", bytes + "\n" + bytes, ":257", "one space");
  std::vector<std::string> tokens = many_tokens(128001);
  tokens.erase(tokens.begin() + 'z');
  check_refused("a.tiktoken", rank_file(tokens), "", "a token for each byte");
}

TEST_CASE("a folder's tokenizer.json comes first, then tokenizer.model, then the rank file") {
  const TemporaryFolder folder;
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file_atomic(folder.path() / name, bytes);
  };
  CHECK_THROWS_WITH(Tokenizer::load(folder.path()), ContainsSubstring("no tokenizer"));
  write("qwen.tiktoken", rank_file(many_tokens(151643)));
  CHECK(Tokenizer::load(folder.path()).vocab_size() == 151665);
  write("other.tiktoken", "");
  CHECK_THROWS_WITH(Tokenizer::load(folder.path()), ContainsSubstring("several *.tiktoken"));
  write("tokenizer.model", small_sentencepiece());
  CHECK(Tokenizer::load(folder.path()).vocab_size() == 264);
  write("tokenizer.json", byte_level_json().dump());
  CHECK(Tokenizer::load(folder.path()).vocab_size() == 103);
}

TEST_CASE("tokenizer_config.json names the tokens that begin and end a document") {
  const TemporaryFolder folder;
  const auto with = [&](const nlohmann::json& config) {
    write_file_atomic(folder.path() / "tokenizer.json", byte_level_json().dump());
    write_file_atomic(folder.path() / "tokenizer_config.json", config.dump());
    return Tokenizer::load(folder.path());
  };
  using nlohmann::json;
  const Tokenizer both =
      with({{"bos_token", "<s>"}, {"eos_token", {{"content", "ab"}}}, {"chat_template", "{{"}});
  CHECK(both.bos_id() == 102);
  CHECK(both.eos_id() == 97);
  CHECK_FALSE(with({{"bos_token", nullptr}}).bos_id().has_value());
  CHECK_FALSE(load_json(byte_level_json()).eos_id().has_value());
  CHECK_THROWS_WITH(with({{"eos_token", "</s>"}}),
                    ContainsSubstring("tokenizer_config.json: eos_token: found \"</s>\", expected a token"));
  CHECK_THROWS_WITH(with({{"eos_token", 3}}), ContainsSubstring("eos_token: found 3, expected a string"));
  CHECK_THROWS_WITH(with(json::array()), ContainsSubstring("tokenizer_config.json"));
}
