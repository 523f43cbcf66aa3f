// Hand-made safetensors files, so that the reader is tested against bytes that our writer would never produce.
#pragma once

#include <cstring>
#include <fstream>
#include <string>

#include "catch.h"
#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "core/files.h"
#include "tensor/torch.h"

namespace attnlab::test {

inline std::string length_bytes(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

inline std::string raw_file(const std::string& header, const std::string& data) {
  return length_bytes(header.size()) + header + data;
}

// What a file of these bytes is refused with; "" if it is accepted and all its tensors can be read. Any other
// exception than InputError goes through and fails the test.
inline std::string refusal(const std::filesystem::path& path) {
  try {
    const auto file = SafetensorsFile::open(path);
    for (const auto& name : file.names()) (void)file.tensor(name).to(torch::kFloat64).sum().item<double>();
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

inline std::string refusal_of(const std::string& bytes) {
  TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  std::ofstream(path, std::ios::binary) << bytes;  // thousands of them: without fsync
  return refusal(path);
}

// Same names, element types, shapes and bytes (so that equal NaNs count as equal).
inline void check_same_tensor(const torch::Tensor& a, const torch::Tensor& b) {
  REQUIRE(a.scalar_type() == b.scalar_type());
  REQUIRE(a.sizes() == b.sizes());
  const auto left = a.contiguous(), right = b.contiguous();
  CHECK((left.numel() == 0 || std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) == 0));
}

}  // namespace attnlab::test
