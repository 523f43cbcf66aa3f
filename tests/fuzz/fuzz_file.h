// What the targets share: bytes as a file, and what every refusal must look like.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/errors.h"

namespace attnlab {

// A file in memory with a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    ATTNLAB_CHECK(descriptor_ >= 0);
    ATTNLAB_CHECK(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `read`; the only other way out of it is a refusal in one line that a person can read. Whether it was
// read.
template <class Read>
bool read_or_refuse(Read read) {
  constexpr size_t kLongest = 8 << 10;
  try {
    read();
    return true;
  } catch (const InputError& error) {
    const std::string_view line = error.what();
    ATTNLAB_CHECK(!line.empty() && line.size() <= kLongest);
    ATTNLAB_CHECK(std::none_of(line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }));
    return false;
  }
}

}  // namespace attnlab
