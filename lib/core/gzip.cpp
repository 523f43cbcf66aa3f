#include "core/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string found) {
  throw InputError(BadInput{.file = path.string(), .found = std::move(found), .expected = "a whole gzip file"});
}

// zlib's decoder with room for a gzip header and trailer, whose checksum it compares.
class Inflater {
 public:
  explicit Inflater(const std::string& bytes) {
    ATTNLAB_CHECK(inflateInit2(&stream_, 15 + 16) == Z_OK);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    left_ = bytes.size();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Appends the next bytes of text; Z_OK, Z_STREAM_END at the end of a member, or zlib's error.
  int read(std::string& text) {
    constexpr size_t piece = size_t{1} << 20;
    const auto given = static_cast<uInt>(std::min(left_, piece));
    const size_t before = text.size();
    text.resize(before + piece);
    stream_.avail_in = given;
    stream_.next_out = reinterpret_cast<Bytef*>(text.data() + before);
    stream_.avail_out = static_cast<uInt>(piece);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    text.resize(before + piece - stream_.avail_out);
    left_ -= given - stream_.avail_in;
    return result;
  }
  bool at_end() const { return left_ == 0; }
  void next_member() { inflateReset(&stream_); }

 private:
  z_stream stream_{};
  size_t left_ = 0;
};

bool is_gzip(const std::string& bytes) { return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b'; }

std::string decompressed(const std::filesystem::path& path, const std::string& bytes) {
  std::string text;
  Inflater inflater(bytes);
  for (;;) {
    const int result = inflater.read(text);
    if (result == Z_STREAM_END) {
      if (inflater.at_end()) return text;
      inflater.next_member();
    } else if (result == Z_BUF_ERROR) {  // wants input that is not there
      refuse(path, "a file that was cut off after " + std::to_string(text.size()) + " bytes of text");
    } else if (result != Z_OK) {
      refuse(path, "damaged data after " + std::to_string(text.size()) + " bytes of text");
    }
  }
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
