#include "core/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "core/errors.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(const fs::path& path, const char* what) {
  throw RunError(fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
}

// Owns a file descriptor.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void write_all(const fs::path& path, int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void update(const char* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace

std::string read_file(const fs::path& path) {
  std::error_code ignored;  // opening gives the reason
  if (fs::is_directory(path, ignored))
    throw InputError({.file = path.string(), .found = "a folder", .expected = "a file"});
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.value < 0)
    throw InputError({.file = path.string(),
                      .found = errno == ENOENT ? std::string("no readable file")
                                               : fmt::format("no readable file ({})", std::strerror(errno)),
                      .expected = "a file"});
  struct stat about {};
  std::string bytes;
  if (::fstat(file.value, &about) == 0 && about.st_size > 0) bytes.reserve(static_cast<size_t>(about.st_size));
  std::array<char, 1 << 16> piece;
  for (ssize_t count = 1; count != 0;) {
    count = ::read(file.value, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, "cannot read");
    bytes.append(piece.data(), static_cast<size_t>(count));
  }
  if (is_lfs_pointer(bytes))
    throw InputError({.file = path.string(),
                      .found = "a pointer of git-lfs, not the file itself",
                      .expected = "what it stands for (git lfs pull fetches it)"});
  return bytes;
}

bool is_lfs_pointer(std::string_view bytes) {
  return bytes.starts_with("version https://git-lfs.github.com/spec/");
}

void publish_file(const fs::path& temporary, const fs::path& path) {
  const Descriptor file{::open(temporary.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.value < 0) fail(temporary, "cannot open");
  if (::fsync(file.value) != 0) fail(temporary, "cannot flush");
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "cannot rename");
}

void make_parent_folders(const fs::path& path) {
  if (!path.has_parent_path()) return;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw RunError(fmt::format("{}: cannot make its folder: {}", path.string(), error.message()));
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  make_parent_folders(path);
  const fs::path temporary = path.string() + ".tmp";
  try {
    {
      const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
      if (file.value < 0) fail(temporary, "cannot create");
      write_all(temporary, file.value, bytes);
    }
    publish_file(temporary, path);
  } catch (const RunError&) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex();
}

std::string sha256_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError({.file = path.string(), .found = "no readable file", .expected = "a file"});
  Sha256 hash;
  std::vector<char> buffer(1 << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    hash.update(buffer.data(), static_cast<size_t>(in.gcount()));
  if (in.bad()) fail(path, "cannot read");
  return hash.hex();
}

std::string sha256_tree(const fs::path& path) {
  if (fs::is_regular_file(path)) return sha256_file(path);
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file())
      lines.push_back(sha256_file(entry.path()) + "  " + fs::relative(entry.path(), path).string() + "\n");
  std::sort(lines.begin(), lines.end(),
            [](const auto& a, const auto& b) { return a.substr(66) < b.substr(66); });
  Sha256 hash;
  for (const auto& line : lines) hash.update(line.data(), line.size());
  return hash.hex();
}

FileLock::FileLock(const fs::path& path) : path_(path) {
  make_parent_folders(path);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(path, "cannot create");
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FileLock::try_lock() {
  int result = -1;
  do {
    result = ::flock(descriptor_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) return false;
  // Taken for "held by another", this would end a plan at once with nothing run.
  if (result != 0) fail(path_, "this file system does not lock files");
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string text = fmt::format("{}, process {}\n", host.data(), ::getpid());
  // For people to read: a full disk changes nothing about the lock.
  const bool written =
      ::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, text.data(), text.size(), 0) > 0;
  (void)written;
  return true;
}

std::string FileLock::holder() const {
  std::ifstream in(path_);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace attnlab
