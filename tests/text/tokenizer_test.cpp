#include "text/tokenizer.h"

#include <chrono>
#include <random>
#include <thread>

#include "small_tokenizers.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/utf8.h"

using namespace attnlab;
using namespace attnlab::test;
using Ids = std::vector<int64_t>;
using nlohmann::json;

TEST_CASE("merges are applied in order of rank, not from left to right") {
  const Tokenizer tokenizer = load_json(byte_level_json());
  CHECK(tokenizer.encode("ab") == Ids{97});
  CHECK(tokenizer.encode("abc") == Ids{*tokenizer.token_id("a"), 99});  // "bc" comes before "ab"
  CHECK(tokenizer.encode("x ab") == Ids{*tokenizer.token_id("x"), 100});
  CHECK(tokenizer.encode("") == Ids{});
}

TEST_CASE("merges as pairs mean the same as merges as strings") {
  json pairs = byte_level_json();
  pairs["model"]["merges"] = json::array({{"b", "c"}, {"a", "b"}, {"ab", "c"}, {"Ġ", "ab"}});
  const Tokenizer tokenizer = load_json(pairs);
  CHECK(tokenizer.encode("x abc ab") == load_json(byte_level_json()).encode("x abc ab"));
}

TEST_CASE("ignore_merges takes a word that is a token as it is") {
  json file = byte_level_json();
  file["model"]["ignore_merges"] = true;
  CHECK(load_json(file).encode("abc") == Ids{98});
}

TEST_CASE("text is decoded from bytes, malformed sequences to replacement characters") {
  const Tokenizer tokenizer = load_json(byte_level_json());
  CHECK(tokenizer.encode("é") == Ids{95, 96});
  CHECK(tokenizer.decode(Ids{95, 96}) == "é");
  CHECK(tokenizer.decode(Ids{95}) == "\xEF\xBF\xBD");
  CHECK(tokenizer.decode(Ids{97, -1, 100, 5000}) == "ab ab");  // ids without a token are left out
}

TEST_CASE("added tokens are found in the text and left out of decoding if special") {
  const Tokenizer tokenizer = load_json(byte_level_json());
  CHECK(tokenizer.encode("ab<s>ab") == Ids{97, 102, 97});
  CHECK(tokenizer.decode(Ids{97, 102, 97}) == "abab");
  CHECK(tokenizer.decode(Ids{97, 102, 97}, false) == "ab<s>ab");
  CHECK(tokenizer.token_id("<s>") == 102);
  CHECK_FALSE(tokenizer.token_id("<t>").has_value());
  CHECK(tokenizer.vocab_size() == 103);
  CHECK(tokenizer.longest_token_bytes() >= 3);
}

TEST_CASE("the longest added token wins") {
  json file = byte_level_json();
  file["added_tokens"] = {added_token(102, "<s>"), added_token(103, "<s>a"), added_token(104, "<s>abx")};
  const Tokenizer tokenizer = load_json(file);
  CHECK(tokenizer.encode("<s>ab") == Ids{103, *tokenizer.token_id("b")});
  CHECK(tokenizer.encode("<s>abx<s>") == Ids{104, 102});
}

TEST_CASE("lstrip and rstrip take white space, single_word wants no neighbour") {
  json file = byte_level_json();
  auto& token = file["added_tokens"][0];
  SECTION("lstrip") {
    token["lstrip"] = true;
    CHECK(load_json(file).encode("ab \n <s> ab") == Ids{97, 102, 100});
  }
  SECTION("rstrip") {
    token["rstrip"] = true;
    CHECK(load_json(file).encode("ab<s> \n ab") == Ids{97, 102, 97});
  }
  SECTION("single_word") {
    token["single_word"] = true;
    const Tokenizer tokenizer = load_json(file);
    CHECK(tokenizer.encode(" <s> ") == Ids{94, 102, 94});
    CHECK(tokenizer.encode("a<s>").size() == 4);
    CHECK(tokenizer.encode("<s>é").size() == 5);
  }
}

TEST_CASE("a token that is looked for in normalised text matches the normalised spelling") {
  json file = byte_level_json();
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "[A-Z]+"}}}, {"content", "x"}};
  file["added_tokens"].push_back(added_token(103, "<QQ>"));
  file["added_tokens"][1]["normalized"] = true;
  CHECK(load_json(file).encode("ab<ZZZ><s>") == Ids{97, 103, 102});
  file["added_tokens"][1]["normalized"] = false;
  CHECK(load_json(file).encode("ab<QQ><s>") == Ids{97, 103, 102});
  CHECK(load_json(file).encode("ab<ZZZ><s>").size() == 5);
}

TEST_CASE("white space and word characters are Unicode's") {
  const auto white = text::Pattern::regex(R"(\s)");
  const auto word = text::Pattern::regex(R"(\w)");
  for (const char* text : {"\u0085", "\u00A0", "\u2003", "\u2028", "\u3000", "\t", "\v"})
    CHECK(white.matches_anywhere(text));
  for (const char* text : {"\u180E", "\u200B", "\uFEFF", "x"}) CHECK_FALSE(white.matches_anywhere(text));
  for (const char* text : {"é", "_", "٣", "\u0301", "\u203F", "中"}) CHECK(word.matches_anywhere(text));
  for (const char* text : {"-", " ", "😀", "⅓"}) CHECK_FALSE(word.matches_anywhere(text));
  // Oniguruma looks characters of Latin-1 up in a table of their own, in which these are words, but not in a
  // class.
  CHECK(word.matches_anywhere("½"));
  CHECK_FALSE(text::Pattern::regex(R"([\w])").matches_anywhere("½"));
}

TEST_CASE("letters and numbers are those of Unicode 16") {
  const auto letter = text::Pattern::regex(R"(\p{L})"), other = text::Pattern::regex(R"([^\p{L}\p{N}])");
  const auto number = text::Pattern::regex(R"(\p{N})"), no_letter = text::Pattern::regex(R"(\P{L})");
  for (const char* text : {"a", "中", "\U00031350", "\U000323AF", "\U0001E030", "\U00016100"}) {
    CHECK(letter.matches_anywhere(text));
    CHECK_FALSE(other.matches_anywhere(text));
    CHECK_FALSE(no_letter.matches_anywhere(text));
  }
  for (const char* text : {"1", "\U0001D2C0", "\U0001E5FA"}) {
    CHECK(number.matches_anywhere(text));
    CHECK_FALSE(letter.matches_anywhere(text));
    CHECK_FALSE(other.matches_anywhere(text));
  }
  CHECK(text::Pattern::regex(R"(^[\p{Lo}]{2}$)").matches_anywhere("中\U0002EBF0"));
  CHECK_FALSE(letter.matches_anywhere("\U000323B0"));
}

TEST_CASE("a repetition repeated is not a possessive one, as in Ruby") {
  const auto matches = [](const char* expression, const std::string& text) {
    std::string found;
    for (const text::Span span : text::Pattern::regex(expression).find_all(text))
      found += std::string(span.of(text)) + "|";
    return found;
  };
  CHECK(matches("\\d{1,3}+", "12345 6") == "12345|6|");
  CHECK(matches("x|(?:a[b-d]){2}+b", "abacabadbx") == "abacabadb|x|");
  CHECK(matches("[0-9a]{2}+", "12345a7") == "12345a|");
  CHECK(matches("a++b", "aaab") == "aaab|");
}

TEST_CASE("the template puts its tokens around the text") {
  json file = byte_level_json();
  file["added_tokens"].push_back(added_token(103, "</s>"));
  const auto special = [](const char* id) { return json{{"SpecialToken", {{"id", id}, {"type_id", 0}}}}; };
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {special("<s>"), text, special("</s>")}},
                            {"pair", json::array()},
                            {"special_tokens",
                             {{"<s>", {{"id", "<s>"}, {"ids", {102}}, {"tokens", {"<s>"}}}},
                              {"</s>", {{"id", "</s>"}, {"ids", {103}}, {"tokens", {"</s>"}}}}}}};
  const Tokenizer tokenizer = load_json(file);
  CHECK(tokenizer.encode("ab", true) == Ids{102, 97, 103});
  CHECK(tokenizer.encode("ab") == Ids{97});
  CHECK(tokenizer.encode("", true) == Ids{102, 103});
}

TEST_CASE("characters without a token fall back to their bytes") {
  const Tokenizer tokenizer = load_json(byte_fallback_json());
  CHECK(tokenizer.encode("a aa") == Ids{259, 259, 258});
  CHECK(tokenizer.encode("é") == Ids{257, 0xC3 + 1, 0xA9 + 1});
  CHECK(tokenizer.decode(Ids{257, 0xC3 + 1, 0xA9 + 1}) == "é");
  CHECK(tokenizer.decode(Ids{259, 0xC3 + 1, 258}) ==
        "a\xEF\xBF\xBD"
        "a");
  CHECK(tokenizer.decode(tokenizer.encode(" a  é😀")) == " a  é😀");
}

TEST_CASE("a run of unknown characters is one token if the file says so") {
  json file = byte_fallback_json();
  file["model"]["byte_fallback"] = false;
  CHECK(load_json(file).encode("aéé") == Ids{259, 0});
  file["model"]["fuse_unk"] = false;
  CHECK(load_json(file).encode("aéé") == Ids{259, 0, 0});
}

TEST_CASE("Metaspace puts its mark before the first piece, each piece or none") {
  json file = byte_fallback_json();
  file["normalizer"] = nullptr;
  const auto with = [&](const char* scheme) {
    file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}};
    return load_json(file).encode("a<unk>a");
  };
  CHECK(with("always") == Ids{259, 0, 259});
  CHECK(with("first") == Ids{259, 0, 258});
  CHECK(with("never") == Ids{258, 0, 258});
}

TEST_CASE("each split behavior cuts as it says") {
  json file = byte_level_json();
  file["model"]["merges"] = json::array();
  // Words are told apart by what is a token as a whole.
  file["model"]["ignore_merges"] = true;
  const auto cut = [&](const char* behavior, bool invert = false) {
    json split = {
        {"type", "Split"}, {"pattern", {{"Regex", "c|d"}}}, {"behavior", behavior}, {"invert", invert}};
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array({split})}};
    for (const char* word : {"cc", "cb", "bcc", "ccb"})
      file["model"]["vocab"][word] = 200 + word[0] * 4 + word[1] + static_cast<int>(std::strlen(word)) * 1000;
    const Tokenizer tokenizer = load_json(file);
    std::string shape;
    for (const int64_t id : tokenizer.encode("abccb")) shape += tokenizer.decode(Ids{id}) + "|";
    return shape;
  };
  CHECK(cut("Isolated") == "ab|c|c|b|");
  CHECK(cut("Removed") == "ab|b|");
  CHECK(cut("Contiguous") == "ab|cc|b|");
  CHECK(cut("MergedWithPrevious") == "abc|c|b|");
  CHECK(cut("MergedWithNext") == "ab|c|cb|");
  CHECK(cut("Removed", true) == "c|c|");
}

TEST_CASE("normal forms compose and decompose") {
  using text::NormalForm;
  CHECK(text::normalize_unicode("e\u0301", NormalForm::NFC) == "é");
  CHECK(text::normalize_unicode("é", NormalForm::NFD) == "e\u0301");
  CHECK(text::normalize_unicode("ﬁ½", NormalForm::NFKC) == "fi1\u20442");
  CHECK(text::normalize_unicode("\u1112\u1161\u11AB", NormalForm::NFC) == "한");
  CHECK(text::normalize_unicode("a\u0301\u0323", NormalForm::NFD) == "a\u0323\u0301");  // ordered by class
  CHECK(text::normalize_unicode("\uFDFA", NormalForm::NFKC).size() == 33);              // 18 characters
}

TEST_CASE("normal forms know the marks of Unicode 9") {
  using text::NormalForm;
  for (const std::string mark : {"\u1DFA", "\u1AC5", "\u0898", "\U0001E4EF"}) {
    CHECK(text::normalize_unicode("a\u0345" + mark, NormalForm::NFC) == "a\u0345" + mark);  // not ordered
    CHECK(text::normalize_unicode("e" + mark + "\u0301", NormalForm::NFC) == "e" + mark + "\u0301");
    CHECK(text::normalize_unicode(mark + "e\u0301" + mark + mark, NormalForm::NFC) == mark + "é" + mark + mark);
  }
  CHECK(text::normalize_unicode("e\u0316\u0301", NormalForm::NFC) == "é\u0316");  // across an older mark
}

TEST_CASE("random bytes neither crash nor lose well-formed text") {
  json file = byte_fallback_json();
  const Tokenizer tokenizer = load_json(file);
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text(random() % 60, '\0');
    for (char& c : text) c = static_cast<char>(random());
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text::utf8_lossy(text));
  }
}

TEST_CASE("long runs take time in proportion to their length") {
  const auto seconds = [](const Tokenizer& tokenizer, const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(tokenizer.encode(text).empty());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  json nfc = byte_level_json();
  nfc["normalizer"] = {{"type", "NFC"}};
  std::string marks = "b a";
  for (int i = 0; i < 200'000; ++i) marks += i % 2 ? "\u0301" : "\u0323";
  // Quadratic work on 10^6 symbols would take minutes.
  CHECK(seconds(load_json(byte_fallback_json()), std::string(1'000'000, 'a')) < 20);
  CHECK(seconds(load_json(byte_level_json()), std::string(1'000'000, ' ')) < 20);
  CHECK(seconds(load_json(byte_level_json()), std::string(1'000'000, 'b')) < 20);
  CHECK(seconds(load_json(nfc), marks) < 20);
}

TEST_CASE("threads may share a tokenizer") {
  const Tokenizer tokenizer = load_json(byte_level_json());
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += " ab" + std::to_string(i % 700);
  for (Ids& result : results) threads.emplace_back([&, out = &result] { *out = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) CHECK(result == results[0]);
  CHECK(tokenizer.decode(results[0]) == text);
}
