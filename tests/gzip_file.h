// Compressed files for tests.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <string>

namespace attnlab::test {

// Appends a gzip member with `text` to the file.
inline void append_gzip(const std::filesystem::path& path, const std::string& text) {
  const gzFile file = gzopen(path.c_str(), "ab");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
}

}  // namespace attnlab::test
