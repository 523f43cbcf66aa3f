// Compressed files for tests.
#pragma once

#include <boost/iostreams/copy.hpp>
#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <filesystem>
#include <fstream>
#include <string>

namespace attnlab::test {

// Appends a gzip member with `text` to the file.
inline void append_gzip(const std::filesystem::path& path, const std::string& text) {
  namespace bio = boost::iostreams;
  std::ofstream file(path, std::ios::binary | std::ios::app);
  bio::filtering_ostreambuf member;
  member.push(bio::gzip_compressor());
  member.push(file);
  bio::copy(bio::array_source(text.data(), text.size()), member);
}

}  // namespace attnlab::test
