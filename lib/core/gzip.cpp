#include "core/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string found) {
  throw InputError(BadInput{.file = path.string(), .found = std::move(found), .expected = "a whole gzip file"});
}

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

// One member after the other, and zeros behind them, which some tools pad with (gunzip skips them, too).
class Members {
 public:
  Members(const std::filesystem::path& path, std::string_view bytes) : path_(path), left_(bytes) {
    constexpr int kGzipHeader = 16;
    if (inflateInit2(&stream_, MAX_WBITS + kGzipHeader) != Z_OK) throw RunError("zlib cannot be started");
  }
  ~Members() { inflateEnd(&stream_); }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  std::string text() {
    do {
      if (!is_gzip(left_)) refuse(path_, "a damaged header, or other data behind the last member");
      read_member();
      left_.remove_prefix(std::min(left_.find_first_not_of('\0'), left_.size()));
    } while (!left_.empty());
    return std::move(text_);
  }

 private:
  void read_member() {
    inflateReset(&stream_);
    for (int result = Z_OK; result != Z_STREAM_END;) {
      const auto given = static_cast<uInt>(std::min(left_.size(), buffer_.size()));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(left_.data()));
      stream_.avail_in = given;
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_BUF_ERROR && left_.empty()) refuse(path_, "a file that was cut off");
      if (result != Z_OK && result != Z_STREAM_END) refuse(path_, "damaged data");
      left_.remove_prefix(given - stream_.avail_in);
      text_.append(buffer_.data(), buffer_.size() - stream_.avail_out);
    }
  }

  const std::filesystem::path& path_;
  std::string_view left_;  // behind what is read
  std::string text_;
  std::array<char, 1 << 16> buffer_;
  z_stream stream_{};
};

}  // namespace

std::string read_text_file(const std::filesystem::path& path) {
  std::string bytes = read_file(path);
  if (is_gzip(bytes)) return Members(path, bytes).text();
  if (path.extension() == ".gz") refuse(path, bytes.empty() ? "an empty file" : "other data");
  return bytes;
}

std::string gzipped(std::string_view bytes) {
  constexpr int kGzipHeader = 16, kMemoryLevel = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipHeader, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw RunError("zlib cannot be started");
  std::string out;
  std::array<char, 1 << 16> buffer;
  std::string_view left = bytes;
  for (int result = Z_OK; result != Z_STREAM_END;) {
    const auto given = static_cast<uInt>(std::min(left.size(), buffer.size()));
    const bool last = given == left.size();
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(left.data()));
    stream.avail_in = given;
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      result = deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
      out.append(buffer.data(), buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
    left.remove_prefix(given);
  }
  deflateEnd(&stream);
  return out;
}

bool has_text_extension(const std::filesystem::path& path, const std::string& extension) {
  if (path.extension() == ".gz") return path.stem().extension() == extension;
  return path.extension() == extension;
}

}  // namespace attnlab
