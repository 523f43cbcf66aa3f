// Gzip files, written by the tests.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <string>

#include "catch.h"

namespace attnlab::test {

// Puts `text` behind what the file holds, as a member of its own.
inline void append_gzip(const std::filesystem::path& path, const std::string& text) {
  const gzFile file = gzopen(path.c_str(), "ab");
  REQUIRE(file != nullptr);
  CHECK(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

}  // namespace attnlab::test
