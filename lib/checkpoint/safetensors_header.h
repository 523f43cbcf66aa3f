// The header of a safetensors file, checked in full before any tensor is made.
//
// Layout (github.com/huggingface/safetensors, README, "Format"):
//   8 bytes      N, the header's length, unsigned little-endian
//   N bytes      JSON: {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [BEGIN, END]}, …,
//                "__metadata__": {"KEY": "VALUE", …}}, padded at its end with spaces
//   the rest     the tensors' bytes, little-endian, row-major; offsets count from here
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

inline constexpr uint64_t kLengthBytes = 8;
inline constexpr uint64_t kLargestHeader = 100'000'000;  // the reference implementation's bound
inline constexpr std::string_view kMetadataKey = "__metadata__";

// The format's name for an element type, in the order in which the reference implementation lays data out:
// wide elements first, so that every tensor is aligned.
struct DtypeRow {
  std::string_view name;
  torch::ScalarType type;
};
const std::vector<DtypeRow>& dtype_rows();

struct TensorEntry {
  torch::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes from the start of the data
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
};

// Parses header text for a file with `data_bytes` bytes after the header. Throws InputError naming `file` and
// the tensor: bad JSON, a name twice, a missing key, an unsupported dtype, a shape that is negative, overflows
// or has over 64 dimensions, offsets that don't fit the shape, leave the file, overlap, or leave a hole.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes, const std::string& file);

}  // namespace attnlab
