// Small tokenizers written by hand, whose ids can be checked by eye.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.h"
#include "text/tokenizer.h"

namespace attnlab::test {

inline Tokenizer load_json(const nlohmann::json& json) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "tokenizer.json") << json.dump();
  return Tokenizer::load(folder.path());
}

inline nlohmann::json added_token(int id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// Byte-level. Ids: 0-94 printable ASCII from '!' on and "Ġ" (space, 94), then the merged tokens, then <s>.
inline nlohmann::json byte_level_json() {
  nlohmann::json vocab;
  int next = 0;
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = next++;
  vocab["Ġ"] = next++;                                                                        // 94
  for (const char* token : {"Ã", "©", "ab", "abc", "bc", "Ġab", "Ċ"}) vocab[token] = next++;  // 95 to 101
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", {added_token(102, "<s>")}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"vocab", vocab},
            {"merges", {"b c", "a b", "ab c", "Ġ ab"}}}}};
}

// Byte fallback: "<unk>" 0, "<0x00>" ... 1 to 256, "▁" 257, "a" 258, "▁a" 259, "aa" 260.
inline nlohmann::json byte_fallback_json() {
  nlohmann::json vocab;
  vocab["<unk>"] = 0;
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab[name] = byte + 1;
  }
  int next = 257;
  for (const char* token : {"▁", "a", "▁a", "aa"}) vocab[token] = next++;
  const auto replace = [](const char* from, const char* to) {
    return nlohmann::json{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  return {
      {"added_tokens", {added_token(0, "<unk>")}},
      {"normalizer",
       {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}, {"prepend", "▁"}}, replace(" ", "▁")}}}},
      {"pre_tokenizer", nullptr},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         {replace("▁", " "),
          {{"type", "ByteFallback"}},
          {{"type", "Fuse"}},
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocab},
        {"merges", nlohmann::json::array({{"▁", "a"}, {"a", "a"}})}}}};
}

}  // namespace attnlab::test
