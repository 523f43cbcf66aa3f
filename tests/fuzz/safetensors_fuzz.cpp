// Bytes as a safetensors file: refused with InputError, or every tensor can be read in both ways and both give
// the same bytes.
#include <cstring>
#include <string>

#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_header.h"
#include "core/errors.h"
#include "fuzz_file.h"

using namespace attnlab;

namespace {

// Headers of files that are too large to make: what is accepted covers the data without overlap.
void try_header(const uint8_t* data, size_t size) {
  uint64_t data_bytes = 0;
  if (size < kLengthBytes) return;
  std::memcpy(&data_bytes, data, kLengthBytes);
  const std::string_view text(reinterpret_cast<const char*>(data) + kLengthBytes, size - kLengthBytes);
  uint64_t covered = 0;
  for (const auto& [name, entry] : parse_safetensors_header(text, data_bytes, "header").tensors) {
    ATTNLAB_CHECK(entry.begin <= entry.end && entry.end <= data_bytes);
    covered += entry.end - entry.begin;
  }
  ATTNLAB_CHECK(covered == data_bytes);
}

void try_file(const uint8_t* data, size_t size) {
  const MemoryFile bytes(as_text(data, size));
  const auto file = SafetensorsFile::open(bytes.path());
  for (const auto& name : file.names()) {
    const auto mapped = file.tensor(name);
    ATTNLAB_CHECK(mapped.sizes().vec() == file.shape(name) && mapped.scalar_type() == file.dtype(name));
    const auto copy = torch::empty(mapped.sizes(), mapped.scalar_type());
    file.copy_to(name, copy);
    ATTNLAB_CHECK(mapped.numel() == 0 || std::memcmp(mapped.data_ptr(), copy.data_ptr(), copy.nbytes()) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const auto try_one : {try_header, try_file}) read_or_refuse([&] { try_one(data, size); });
  return 0;
}
