// Tokenizer files other than tokenizer.json, written by hand.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "catch.h"
#include "text/tokenizer.h"

namespace attnlab::test {

inline Tokenizer load_bytes(const std::string& name, const std::string& bytes) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / name, std::ios::binary) << bytes;
  return Tokenizer::load(folder.path() / name);
}

// Protocol buffers: a field is its number and wire type, then a number or a length and bytes.
inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string number_field(int field, uint64_t value) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(value);
}
inline std::string bytes_field(int field, const std::string& bytes) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(bytes.size()) + bytes;
}

enum class PieceType { normal = 1, unknown = 2, control = 3, byte = 6 };
inline std::string piece(const std::string& text, float score, PieceType type) {
  std::string fields = bytes_field(1, text);
  fields += varint(2 << 3 | 5);
  fields.append(reinterpret_cast<const char*>(&score), sizeof score);
  fields += number_field(3, static_cast<uint64_t>(type));
  return bytes_field(1, fields);
}

// Byte-pair encoding with byte fallback and a space in front: <unk> 0, <s> 1, </s> 2, bytes 3 to 258, then
// "▁" 259, "a" 260, "b" 261, "ab" 262, "▁ab" 263.
inline std::string small_sentencepiece() {
  std::string model = piece("<unk>", 0, PieceType::unknown);
  model += piece("<s>", 0, PieceType::control) + piece("</s>", 0, PieceType::control);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    model += piece(name, 0, PieceType::byte);
  }
  float score = 0;
  for (const char* text : {"▁", "a", "b"}) model += piece(text, -100, PieceType::normal);
  for (const char* text : {"ab", "▁ab"}) model += piece(text, score--, PieceType::normal);
  model += bytes_field(2, number_field(3, 2) + number_field(35, 1));  // model_type BPE, byte_fallback
  model += bytes_field(3, bytes_field(1, "identity") + number_field(3, 1) + number_field(4, 0));
  return model;
}

inline std::string base64(const std::string& bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i)
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i) out += at + i > bytes.size() ? '=' : digits[group >> (18 - 6 * i) & 63];
  }
  return out;
}

// One line a token, the rank its place.
inline std::string rank_file(const std::vector<std::string>& tokens) {
  std::string out;
  for (size_t rank = 0; rank < tokens.size(); ++rank)
    out += base64(tokens[rank]) + " " + std::to_string(rank) + "\n";
  return out;
}

inline std::vector<std::string> all_bytes() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return tokens;
}

}  // namespace attnlab::test
