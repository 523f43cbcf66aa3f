// A tokenizer that the test trains itself, against a naive encoder that applies the merges one after the other.
#include <map>

#include "catch.h"
#include "core/random.h"
#include "small_tokenizers.h"
#include "text/byte_level.h"

namespace attnlab {
namespace {

using Symbols = std::vector<std::string>;
using Pair = std::pair<std::string, std::string>;

// Words begin with the space before them.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (const char c : text) {
    if (words.empty() || c == ' ') words.emplace_back();
    words.back() += c;
  }
  return words;
}

// Each byte as one character of the byte-level alphabet.
Symbols bytes_of(const std::string& word) {
  Symbols symbols;
  for (const char byte : word) {
    symbols.emplace_back();
    text::append_byte_level({&byte, 1}, symbols.back());
  }
  return symbols;
}

void merge(Symbols& symbols, const Pair& pair) {
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    if (symbols[i] != pair.first || symbols[i + 1] != pair.second) continue;
    symbols[i] += symbols[i + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

// The most frequent pair, again and again; of equally frequent ones the first in order.
std::vector<Pair> train(const std::string& text, int count) {
  std::vector<Symbols> words;
  for (const auto& word : words_of(text)) words.push_back(bytes_of(word));
  std::vector<Pair> merges;
  for (int n = 0; n < count; ++n) {
    std::map<Pair, int> counts;
    for (const auto& word : words)
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    Pair best;
    int most = 1;
    for (const auto& [pair, times] : counts)
      if (times > most) best = pair, most = times;
    if (most < 2) break;
    merges.push_back(best);
    for (auto& word : words) merge(word, best);
  }
  return merges;
}

nlohmann::json tokenizer_json(const std::vector<Pair>& merges) {
  nlohmann::json vocab, list = nlohmann::json::array();
  for (int byte = 0; byte < 256; ++byte) vocab[bytes_of(std::string(1, static_cast<char>(byte)))[0]] = byte;
  for (const auto& [left, right] : merges) {
    if (!vocab.contains(left + right)) vocab[left + right] = vocab.size();
    list.push_back(nlohmann::json::array({left, right}));
  }
  return {{"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Split"},
               {"pattern", {{"Regex", " ?[^ ]+| "}}},
               {"behavior", "Isolated"},
               {"invert", false}},
              {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

std::vector<int64_t> naive_encode(const nlohmann::json& json, const std::vector<Pair>& merges,
                                  const std::string& text) {
  std::vector<int64_t> ids;
  for (const auto& word : words_of(text)) {
    Symbols symbols = bytes_of(word);
    for (const auto& pair : merges) merge(symbols, pair);
    for (const auto& symbol : symbols) ids.push_back(json.at("model").at("vocab").at(symbol).get<int64_t>());
  }
  return ids;
}

// Words of a small language, so that merges are learnt and met again.
std::string story(uint64_t seed, int words) {
  const std::vector<std::string> stems{"an", "ana", "ban", "nan", "na", "éa", "日本", "x"};
  Random random(seed);
  std::string text;
  for (int i = 0; i < words; ++i) {
    text += i == 0 ? "" : " ";
    for (int64_t parts = random.between(1, 4); parts > 0; --parts) text += random.pick(stems);
  }
  return text;
}

TEST_CASE("a tokenizer trained here encodes as its merges do one after the other, and decodes to the text") {
  const auto merges = train(story(1, 400), 120);
  REQUIRE(merges.size() > 60);
  const auto json = tokenizer_json(merges);
  const Tokenizer tokenizer = test::load_json(json);
  size_t ids = 0, bytes = 0;
  for (uint64_t seed = 2; seed < 40; ++seed) {
    const std::string text = story(seed, 30);
    INFO(text);
    const auto found = tokenizer.encode(text);
    CHECK(found == naive_encode(json, merges, text));
    CHECK(tokenizer.decode(found) == text);
    ids += found.size();
    bytes += text.size();
  }
  CHECK(3 * ids < bytes);  // merges are at work
}

}  // namespace
}  // namespace attnlab
