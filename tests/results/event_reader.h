// A small reader of event files, which shares no code with their writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "catch.h"

namespace attnlab::test {

template <class T>
T read_as(const std::string& bytes, size_t at) {
  T value;
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);  // tests run on little-endian machines
  return value;
}

// CRC-32C bit by bit (RFC 3720, appendix B.4).
inline uint32_t naive_crc32c(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

inline uint32_t naive_mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8; }

// The records of a file; both checksums of each are checked.
inline std::vector<std::string> read_records(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = read_as<uint64_t>(file, at);
    REQUIRE(length < file.size());
    CHECK(read_as<uint32_t>(file, at + 8) == naive_mask(naive_crc32c(file.substr(at, 8))));
    records.push_back(file.substr(at + 12, length));
    CHECK(read_as<uint32_t>(file, at + 12 + length) == naive_mask(naive_crc32c(records.back())));
    at += 16 + length;
  }
  return records;
}

// The fields of a message by number: the bytes of texts and messages, the eight or four of fixed numbers, whole
// numbers as their digits.
inline std::multimap<uint64_t, std::string> read_message(const std::string& bytes) {
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.at(at++));
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  std::multimap<uint64_t, std::string> fields;
  while (at < bytes.size()) {
    const uint64_t key = varint(), type = key & 7;
    REQUIRE((type == 0 || type == 1 || type == 2 || type == 5));
    std::string value;
    if (type == 0) {
      value = std::to_string(varint());
    } else {
      const size_t length = type == 1 ? 8 : type == 5 ? 4 : varint();
      REQUIRE(at + length <= bytes.size());
      value = bytes.substr(at, length);
      at += length;
    }
    fields.emplace(key >> 3, value);
  }
  return fields;
}

inline std::string only(const std::multimap<uint64_t, std::string>& fields, uint64_t number) {
  REQUIRE(fields.count(number) == 1);
  return fields.find(number)->second;
}

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::map<std::string, float> scalars;
  std::map<std::string, std::string> texts;
};

inline Event read_event(const std::string& record) {
  const auto event = read_message(record);
  Event out{.wall_time = read_as<double>(only(event, 1), 0), .step = std::stoll(only(event, 2))};
  const auto summary = read_message(only(event, 5));
  for (auto [value, end] = summary.equal_range(1); value != end; ++value) {
    const auto fields = read_message(value->second);
    if (fields.count(2)) out.scalars[only(fields, 1)] = read_as<float>(only(fields, 2), 0);
    if (fields.count(8)) out.texts[only(fields, 1)] = only(read_message(only(fields, 8)), 8);
  }
  return out;
}

}  // namespace attnlab::test
