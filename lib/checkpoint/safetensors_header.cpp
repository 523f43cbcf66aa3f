#include "checkpoint/safetensors_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/json.h"
#include "core/names.h"

namespace attnlab {
namespace {

using nlohmann::json;

// Tensor kernels of torch iterate over at most 64 dimensions.
constexpr size_t kMostDimensions = 64;
// Nothing in a header nests deeper than {name: {"shape": [ ]}}.
constexpr JsonLimits kHeaderLimits{.depth = 8, .items = kMostDimensions};

// The place of a complaint.
struct Where {
  const std::string& file;
  const std::string& tensor;

  [[noreturn]] void refuse(std::string found, std::string expected, std::string nearest = "") const {
    throw InputError({.file = file,
                      .key = printable(tensor),
                      .found = std::move(found),
                      .expected = std::move(expected),
                      .nearest = std::move(nearest)});
  }
};

const json& member(const json& entry, const char* key, const Where& where) {
  if (!entry.is_object())
    where.refuse(std::string("a JSON ") + entry.type_name(), "dtype, shape and data_offsets");
  const auto found = entry.find(key);
  if (found == entry.end()) where.refuse(std::string("no ") + key, "dtype, shape and data_offsets");
  return *found;
}

torch::ScalarType read_dtype(const json& value, const Where& where) {
  if (!value.is_string()) where.refuse(std::string("a dtype that is a JSON ") + value.type_name(), "a name");
  const auto& name = value.get_ref<const std::string&>();
  std::vector<std::string> known;
  for (const auto& row : dtype_rows()) {
    if (row.name == name) return row.type;
    known.emplace_back(row.name);
  }
  const bool narrow = name.starts_with("F8") || name.starts_with("F6") || name.starts_with("F4");
  where.refuse("dtype " + printable(name),
               "one of " + join(known) + (narrow ? ": quantised weights are not supported" : ""),
               nearest_printable(name, known));
}

// A list of whole numbers from 0 to 2⁶³ − 1.
std::vector<int64_t> read_numbers(const json& value, const char* key, const Where& where) {
  if (!value.is_array()) where.refuse(fmt::format("{} that is a JSON {}", key, value.type_name()), "a list");
  std::vector<int64_t> numbers;
  for (const auto& item : value) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > std::numeric_limits<int64_t>::max())
      where.refuse(fmt::format("{} with {}", key, item.is_number() ? item.dump() : item.type_name()),
                   "whole numbers from 0 to 9223372036854775807");
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

// Bytes of a tensor. Overflow is refused for the product of the non-zero dimensions: the strides of [0, 2⁶², 4]
// would overflow although it holds nothing.
uint64_t count_bytes(const TensorEntry& entry, const Where& where) {
  auto bytes = static_cast<int64_t>(c10::elementSize(entry.dtype));
  bool empty = false;
  for (const int64_t dim : entry.shape) {
    empty = empty || dim == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(dim, 1), &bytes))
      where.refuse(fmt::format("shape [{}]", fmt::join(entry.shape, ", ")), "fewer than 2^63 bytes");
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

TensorEntry read_entry(const json& value, uint64_t data_bytes, const Where& where) {
  TensorEntry entry{.dtype = read_dtype(member(value, "dtype", where), where),
                    .shape = read_numbers(member(value, "shape", where), "shape", where)};
  const auto offsets = read_numbers(member(value, "data_offsets", where), "data_offsets", where);
  if (offsets.size() != 2) where.refuse(fmt::format("{} data_offsets", offsets.size()), "2: begin and end");
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  const std::string shown = fmt::format("data_offsets [{}, {}]", entry.begin, entry.end);
  if (entry.begin > entry.end) where.refuse(shown, "an end at or after the begin");
  if (entry.end > data_bytes)
    where.refuse(shown, fmt::format("an end within the {} bytes of data", data_bytes));
  const uint64_t bytes = count_bytes(entry, where);
  if (entry.end - entry.begin != bytes)
    where.refuse(shown,
                 fmt::format("{} bytes for {} of shape [{}]", bytes,
                             value.at("dtype").get_ref<const std::string&>(), fmt::join(entry.shape, ", ")));
  return entry;
}

std::map<std::string, std::string> read_metadata(const json& value, const std::string& file) {
  const std::string name(kMetadataKey);
  std::map<std::string, std::string> metadata;
  if (!value.is_object())
    Where{file, name}.refuse(std::string("a JSON ") + value.type_name(), "a map of texts");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      Where{file, name + "." + key}.refuse(std::string("a JSON ") + text.type_name(), "text");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// "The byte buffer needs to be entirely indexed, and cannot contain holes": in order of their offsets, each
// tensor begins where the one before it ends.
void check_tiling(const SafetensorsHeader& header, uint64_t data_bytes, const std::string& file) {
  std::vector<const std::pair<const std::string, TensorEntry>*> order;
  for (const auto& item : header.tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t covered = 0;
  for (const auto* item : order) {
    const auto& [name, entry] = *item;
    if (entry.begin < covered)
      Where{file, name}.refuse(fmt::format("a begin at {}", entry.begin),
                               fmt::format("{}, where the tensor before it ends (they overlap)", covered));
    if (entry.begin > covered)
      Where{file, name}.refuse(fmt::format("a begin at {}", entry.begin),
                               fmt::format("{}, where the tensor before it ends (a hole)", covered));
    covered = entry.end;
  }
  if (covered != data_bytes)
    throw InputError({.file = file,
                      .found = fmt::format("{} bytes of data", data_bytes),
                      .expected = fmt::format("{}, where the last tensor ends", covered)});
}

}  // namespace

const std::vector<DtypeRow>& dtype_rows() {
  static const std::vector<DtypeRow> rows{
      {"I64", torch::kInt64},     {"F64", torch::kFloat64}, {"F32", torch::kFloat32}, {"I32", torch::kInt32},
      {"BF16", torch::kBFloat16}, {"F16", torch::kFloat16}, {"I16", torch::kInt16},   {"I8", torch::kInt8},
      {"U8", torch::kUInt8},      {"BOOL", torch::kBool},
  };
  return rows;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& file) {
  if (text.empty() || text[0] != '{')
    throw InputError({.file = file,
                      .found = text.empty() ? "an empty header" : "a header that begins with another character",
                      .expected = "a safetensors header, which begins with '{'"});
  const json root = parse_json(text, file, kHeaderLimits);
  SafetensorsHeader header;
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadataKey) {
      header.metadata = read_metadata(value, file);
    } else {
      header.tensors.emplace(name, read_entry(value, data_bytes, Where{file, name}));
    }
  }
  check_tiling(header, data_bytes, file);
  return header;
}

}  // namespace attnlab
