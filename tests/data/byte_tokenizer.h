// A tokenizer for tests: one token a character. Ids of printable ASCII are their codes minus 32, then newline,
// "<bos>" and "<eos>".
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "core/files.h"
#include "text/tokenizer.h"

namespace attnlab::test {

constexpr int64_t newline_id = 95, bos_id = 96, eos_id = 97;

inline std::shared_ptr<const Tokenizer> byte_tokenizer() {
  nlohmann::json vocab = nlohmann::json::object();
  vocab["\u0120"] = 0;  // blank, as byte-level BPE spells it
  for (int c = 33; c < 127; ++c) vocab[std::string(1, static_cast<char>(c))] = c - 32;
  vocab["\u010a"] = newline_id;
  const auto special = [](int64_t id, const char* text) {
    return nlohmann::json{{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
                          {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const nlohmann::json file{
      {"version", "1.0"},
      {"added_tokens", {special(bos_id, "<bos>"), special(eos_id, "<eos>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocab},
        {"merges", nlohmann::json::array()}}}};
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "tokenizer.json", file.dump());
  return std::make_shared<const Tokenizer>(Tokenizer::load(folder.path() / "tokenizer.json"));
}

}  // namespace attnlab::test
