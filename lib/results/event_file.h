// TensorBoard's event files: records of the TFRecord form, each a protocol buffer "Event".
//
// The forms are TensorFlow's: tensorflow/core/lib/io/record_writer.h (length, masked CRC-32C of it, bytes,
// masked CRC-32C of them), tensorflow/core/util/event.proto and tensorboard/compat/proto/summary.proto. The
// messages are written with protozero, which is headers alone: libprotobuf and a libsentencepiece that carries
// a protobuf of its own (Debian 12) end each other's programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnlab {

// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes);
// Rotated right by 15 bits, plus a constant: a CRC of bytes that hold a CRC is a weak check.
uint32_t masked_crc32c(std::string_view bytes);

// One record around `bytes`.
std::string event_record(std::string_view bytes);

// Serialised Events. wall_time: seconds since 1970.
std::string version_event(double wall_time);  // the first of a file: "brain.Event:2"
// Values under tags at one step, as 32-bit floats.
std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars);
// A text for TensorBoard's Text tab, which shows Markdown.
std::string text_event(double wall_time, const std::string& tag, const std::string& text);

}  // namespace attnlab
