#include "checkpoint/temporary_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/files.h"

namespace attnlab {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kCopyBytes = 1 << 20;

[[noreturn]] void fail(const fs::path& path, const char* what) {
  throw RunError(fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
}

int create(const fs::path& path) {
  make_parent_folders(path);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) fail(path, "cannot create");
  return descriptor;
}

// One call writes at most 2 GiB, and part of that on a disk that fills up.
void write_at(int descriptor, const fs::path& path, const char* data, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t written = ::pwrite(descriptor, data, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "cannot write");
    data += written;
    size -= static_cast<uint64_t>(written);
    offset += static_cast<uint64_t>(written);
  }
}

}  // namespace

TemporaryFile::TemporaryFile(fs::path path) : path_(std::move(path)), descriptor_(create(path_)) {}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!published_) ::unlink(path_.c_str());
}

void TemporaryFile::write(const char* data, uint64_t size) {
  while (size > 0) {  // see write_at; this one also takes devices
    const ssize_t written = ::write(descriptor_, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "cannot write");
    data += written;
    size -= static_cast<uint64_t>(written);
  }
}

void TemporaryFile::close() {
  if (descriptor_ < 0) return;
  if (::fsync(descriptor_) != 0) fail(path_, "cannot flush");
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0) fail(path_, "cannot close");  // network file systems report a full disk here
}

void TemporaryFile::publish(const fs::path& path) {
  close();
  if (::rename(path_.c_str(), path.c_str()) != 0) fail(path, "cannot rename");
  published_ = true;
}

SpoolFile::SpoolFile(const fs::path& folder) : path_(folder / "model.spool.tmp"), descriptor_(create(path_)) {
  ::unlink(path_.c_str());
}

SpoolFile::~SpoolFile() { ::close(descriptor_); }

void SpoolFile::append(const char* data, uint64_t size) {
  write_at(descriptor_, path_, data, size, size_);
  size_ += size;
}

void SpoolFile::copy(uint64_t offset, uint64_t size, TemporaryFile& into) const {
  std::vector<char> buffer(std::min(size, kCopyBytes));
  while (size > 0) {
    const ssize_t got =
        ::pread(descriptor_, buffer.data(), std::min(size, kCopyBytes), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail(path_, "cannot read back");
    into.write(buffer.data(), static_cast<uint64_t>(got));
    offset += static_cast<uint64_t>(got);
    size -= static_cast<uint64_t>(got);
  }
}

void SpoolFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) fail(path_, "cannot empty");
  size_ = 0;
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(folder, "cannot open");
  const int synced = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  // Some file systems have no such operation on folders; then there is nothing to be had.
  if (synced != 0 && reason != EINVAL && reason != ENOTSUP) {
    errno = reason;
    fail(folder, "cannot flush");
  }
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail(path, "cannot remove");
}

}  // namespace attnlab
