#include "results/event_file.h"

#include <boost/crc.hpp>
#include <cstring>

namespace attnlab {
namespace {

// Little-endian, as both forms are, on machines of either order.
template <class Unsigned>
std::string little_endian(Unsigned value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

// Seven bits a byte, the lowest first; the high bit says that more follow.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  return bytes + static_cast<char>(value);
}

enum WireType : uint64_t { whole = 0, eight_bytes = 1, length_delimited = 2, four_bytes = 5 };
std::string key(uint64_t field, WireType type) { return varint(field << 3 | type); }

std::string int_field(uint64_t field, uint64_t value) { return key(field, whole) + varint(value); }
std::string bytes_field(uint64_t field, std::string_view bytes) {
  return key(field, length_delimited) + varint(bytes.size()) + std::string(bytes);
}
std::string double_field(uint64_t field, double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return key(field, eight_bytes) + little_endian(bits);
}
std::string float_field(uint64_t field, float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return key(field, four_bytes) + little_endian(bits);
}

// Event: 1 wall_time, 2 step, 3 file_version, 5 summary. Summary: 1 value. Value: 1 tag, 2 simple_value,
// 8 tensor, 9 metadata. SummaryMetadata: 1 plugin_data; its 1 is plugin_name. TensorProto: 1 dtype (7: string),
// 2 tensor_shape, 8 string_val. TensorShapeProto: 2 dim; its 1 is size.
std::string summary_event(double wall_time, int64_t step, const std::string& summary) {
  return double_field(1, wall_time) + int_field(2, static_cast<uint64_t>(step)) + bytes_field(5, summary);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

std::string event_record(std::string_view bytes) {
  const std::string length = little_endian(static_cast<uint64_t>(bytes.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(bytes) +
         little_endian(masked_crc32c(bytes));
}

std::string version_event(double wall_time) {
  return double_field(1, wall_time) + bytes_field(3, "brain.Event:2");
}

std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary += bytes_field(1, bytes_field(1, tag) + float_field(2, static_cast<float>(value)));
  return summary_event(wall_time, step, summary);
}

std::string text_event(double wall_time, const std::string& tag, const std::string& text) {
  const std::string metadata = bytes_field(1, bytes_field(1, "text"));
  const std::string shape = bytes_field(2, int_field(1, 1));
  const std::string tensor = int_field(1, 7) + bytes_field(2, shape) + bytes_field(8, text);
  return summary_event(wall_time, 0,
                       bytes_field(1, bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata)));
}

}  // namespace attnlab
