// safetensors files as the format's text describes them, without the code under test: for small inputs and
// results.
#pragma once

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/files.h"

namespace attnlab::test {

template <class Number>
std::string safetensors_bytes(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
                              const std::vector<Number>& values) {
  const size_t bytes = values.size() * sizeof(Number);
  const nlohmann::json header{{name, {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {0, bytes}}}}};
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + text + std::string(reinterpret_cast<const char*>(values.data()), bytes);
}

struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// A float32 tensor of a file.
inline FloatTensor read_floats(const std::filesystem::path& path, const std::string& name) {
  const std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const auto entry = nlohmann::json::parse(bytes.substr(8, length)).at(name);
  const auto begin = entry.at("data_offsets").at(0).get<size_t>(),
             end = entry.at("data_offsets").at(1).get<size_t>();
  FloatTensor out{.shape = entry.at("shape").get<std::vector<int64_t>>()};
  out.values.resize((end - begin) / sizeof(float));
  std::memcpy(out.values.data(), bytes.data() + 8 + length + begin, end - begin);
  return out;
}

}  // namespace attnlab::test
