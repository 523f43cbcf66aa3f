#include "data/token_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr std::array<char, 8> kMagic{'A', 'T', 'N', 'L', 'T', 'O', 'K', '1'};

struct Header {
  std::array<char, 8> magic = kMagic;
  uint64_t examples = 0, tokens = 0;
  std::array<char, 64> key{};
  uint32_t content_crc = 0, header_crc = 0;
};
static_assert(sizeof(Header) == 96);

uint32_t crc(uint32_t before, const void* data, size_t bytes) {
  return static_cast<uint32_t>(crc32_z(before, static_cast<const Bytef*>(data), bytes));
}
uint32_t header_crc(const Header& header) {
  return crc(0, &header, sizeof(Header) - sizeof(header.header_crc));
}

uint64_t token_bytes(uint64_t tokens) { return (tokens + tokens % 2) * sizeof(int32_t); }

// What is wrong with the bytes of a file; empty: nothing.
std::string problem_of(const char* bytes, size_t size, const std::string& key) {
  Header header;
  if (size < sizeof header) return "it is cut off";
  std::memcpy(&header, bytes, sizeof header);
  if (header.magic != kMagic || header.header_crc != header_crc(header)) return "its header is damaged";
  if (std::string_view(header.key.data(), header.key.size()) != key) return "it is of other data";
  const uint64_t content = token_bytes(header.tokens) + (header.examples + 1) * sizeof(int64_t);
  if (size != sizeof header + content)
    return size < sizeof header + content ? "it is cut off" : "it is too long";
  if (crc(0, bytes + sizeof header, content) != header.content_crc) return "its content is damaged";
  return "";
}

}  // namespace

std::optional<TokenFile> TokenFile::open(const fs::path& path, const std::string& key, std::string& problem) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno != ENOENT) problem = std::strerror(errno);
    return std::nullopt;
  }
  struct stat about {};
  const size_t size = ::fstat(descriptor, &about) == 0 ? static_cast<size_t>(about.st_size) : 0;
  void* mapped = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0) : MAP_FAILED;
  ::close(descriptor);
  if (mapped == MAP_FAILED) {
    problem = size == 0 ? "it is empty" : "it cannot be mapped";
    return std::nullopt;
  }
  TokenFile file;
  file.mapping_ = {mapped, [size](void* address) { ::munmap(address, size); }};
  const char* bytes = static_cast<const char*>(mapped);
  problem = problem_of(bytes, size, key);
  if (!problem.empty()) return std::nullopt;
  Header header;
  std::memcpy(&header, bytes, sizeof header);
  bytes += sizeof header;
  file.spans_.tokens = {reinterpret_cast<const int32_t*>(bytes), header.tokens};
  file.spans_.starts = {reinterpret_cast<const int64_t*>(bytes + token_bytes(header.tokens)),
                        header.examples + 1};
  return file;
}

struct TokenFileWriter::Impl {
  fs::path path, temporary;
  std::ofstream out;
  Header header;
  std::vector<int64_t> starts{0};

  void put(const void* data, size_t bytes) {
    header.content_crc = crc(header.content_crc, data, bytes);
    write(data, bytes);
  }
  void write(const void* data, size_t bytes) {
    out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    if (!out) throw RunError(temporary.string() + ": cannot write: " + std::strerror(errno));
  }
};

TokenFileWriter::TokenFileWriter(const fs::path& path, const std::string& key)
    : impl_(std::make_unique<Impl>()) {
  ATTNLAB_CHECK(key.size() == impl_->header.key.size());
  std::copy(key.begin(), key.end(), impl_->header.key.begin());
  impl_->path = path;
  impl_->temporary = path.string() + ".tmp";
  impl_->out.open(impl_->temporary, std::ios::binary | std::ios::trunc);
  const Header empty{.magic = {}};  // until the content is there
  impl_->write(&empty, sizeof empty);
}

TokenFileWriter::~TokenFileWriter() {
  std::error_code ignored;
  if (impl_ && impl_->out.is_open()) fs::remove(impl_->temporary, ignored);
}

void TokenFileWriter::append(std::span<const int32_t> tokens) {
  impl_->put(tokens.data(), tokens.size_bytes());
  impl_->header.tokens += tokens.size();
  impl_->starts.push_back(static_cast<int64_t>(impl_->header.tokens));
}

void TokenFileWriter::publish() {
  Header& header = impl_->header;
  const int32_t filler = 0;
  if (header.tokens % 2 == 1) impl_->put(&filler, sizeof filler);
  impl_->put(impl_->starts.data(), impl_->starts.size() * sizeof(int64_t));
  header.examples = impl_->starts.size() - 1;
  header.header_crc = header_crc(header);
  impl_->out.seekp(0);
  impl_->write(&header, sizeof header);
  impl_->out.flush();
  if (!impl_->out) throw RunError(impl_->temporary.string() + ": cannot write: " + std::strerror(errno));
  publish_file(impl_->temporary, impl_->path);
  impl_->out.close();
}

}  // namespace attnlab
