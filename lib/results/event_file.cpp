#include "results/event_file.h"

#include <boost/crc.hpp>
#include <protozero/pbf_builder.hpp>

namespace attnlab {
namespace {

// Little-endian, as both forms are, on machines of either order.
template <class Unsigned>
std::string little_endian(Unsigned value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

using protozero::pbf_builder, protozero::pbf_tag_type;

// The fields that are written, with TensorFlow's numbers.
enum class EventField : pbf_tag_type { wall_time = 1, step = 2, file_version = 3, summary = 5 };
enum class SummaryField : pbf_tag_type { value = 1 };
enum class ValueField : pbf_tag_type { tag = 1, simple_value = 2, tensor = 8, metadata = 9 };
enum class MetadataField : pbf_tag_type { plugin_data = 1 };
enum class PluginDataField : pbf_tag_type { plugin_name = 1 };
enum class TensorField : pbf_tag_type { dtype = 1, shape = 2, string_value = 8 };
enum class ShapeField : pbf_tag_type { dim = 2 };
enum class DimField : pbf_tag_type { size = 1 };
constexpr int32_t string_dtype = 7;  // of TensorField::dtype

// A tensor of one string.
void add_text(pbf_builder<ValueField>& value, const std::string& text) {
  pbf_builder<TensorField> tensor(value, ValueField::tensor);
  tensor.add_enum(TensorField::dtype, string_dtype);
  {
    pbf_builder<ShapeField> shape(tensor, TensorField::shape);
    pbf_builder<DimField>(shape, ShapeField::dim).add_int64(DimField::size, 1);
  }
  tensor.add_bytes(TensorField::string_value, text);
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
  std::string bytes;
  pbf_builder<EventField> event(bytes);
  event.add_double(EventField::wall_time, wall_time);
  event.add_string(EventField::file_version, "brain.Event:2");
  return bytes;
}

std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars) {
  std::string bytes;
  pbf_builder<EventField> event(bytes);
  event.add_double(EventField::wall_time, wall_time);
  event.add_int64(EventField::step, step);
  {
    pbf_builder<SummaryField> summary(event, EventField::summary);
    for (const auto& [tag, number] : scalars) {
      pbf_builder<ValueField> value(summary, SummaryField::value);
      value.add_string(ValueField::tag, tag);
      value.add_float(ValueField::simple_value, static_cast<float>(number));
    }
  }
  return bytes;
}

std::string text_event(double wall_time, const std::string& tag, const std::string& text) {
  std::string bytes;
  pbf_builder<EventField> event(bytes);
  event.add_double(EventField::wall_time, wall_time);
  event.add_int64(EventField::step, 0);
  {
    pbf_builder<SummaryField> summary(event, EventField::summary);
    pbf_builder<ValueField> value(summary, SummaryField::value);
    value.add_string(ValueField::tag, tag);
    add_text(value, text);
    pbf_builder<MetadataField> metadata(value, ValueField::metadata);
    pbf_builder<PluginDataField>(metadata, MetadataField::plugin_data)
        .add_string(PluginDataField::plugin_name, "text");
  }
  return bytes;
}

}  // namespace attnlab
