#include "core/gzip.h"

#include <boost/iostreams/copy.hpp>
#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/device/back_inserter.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

namespace bio = boost::iostreams;

[[noreturn]] void refuse(const std::filesystem::path& path, std::string found) {
  throw InputError(BadInput{.file = path.string(), .found = std::move(found), .expected = "a whole gzip file"});
}

bool is_gzip(const std::string& bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

std::string what_is_wrong(const bio::gzip_error& error) {
  if (error.error() == bio::gzip::bad_header) return "a damaged header, or other data behind the last member";
  const bool wants_more =
      error.error() == bio::gzip::bad_footer || error.zlib_error_code() == bio::zlib::buf_error;
  return wants_more ? "a file that was cut off" : "damaged data";
}

std::string decompressed(const std::filesystem::path& path, const std::string& bytes) {
  constexpr std::streamsize piece = 1 << 20;
  bio::filtering_istreambuf source;
  source.push(bio::gzip_decompressor(bio::gzip::default_window_bits, piece), piece);
  source.push(bio::array_source(bytes.data(), bytes.size()));
  std::string text;
  try {
    bio::copy(source, bio::back_inserter(text), piece);
  } catch (const bio::gzip_error& error) {
    refuse(path, what_is_wrong(error));
  }
  return text;
}

}  // namespace

std::string read_text_file(const std::filesystem::path& path) {
  std::string bytes = read_file(path);
  if (is_gzip(bytes)) return decompressed(path, bytes);
  if (path.extension() == ".gz") refuse(path, bytes.empty() ? "an empty file" : "other data");
  return bytes;
}

bool has_text_extension(const std::filesystem::path& path, const std::string& extension) {
  if (path.extension() == ".gz") return path.stem().extension() == extension;
  return path.extension() == extension;
}

}  // namespace attnlab
