#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/errors.h"

namespace attnlab {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (file.value < 0 || ::fstat(file.value, &status) != 0)
    throw InputError({.file = path.string(),
                      .found = std::string("no readable file (") + std::strerror(errno) + ")",
                      .expected = "a file"});
  if (!S_ISREG(status.st_mode))
    throw InputError({.file = path.string(),
                      .found = S_ISDIR(status.st_mode) ? "a folder" : "a special file",
                      .expected = "a file"});
  const auto size = static_cast<uint64_t>(status.st_size);
  void* data = nullptr;
  if (size > 0) {
    // NORESERVE: the pages are private only once written to, which is rare; weights larger than memory map too.
    data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.value, 0);
    if (data == MAP_FAILED) throw RunError(path.string() + ": cannot map: " + std::strerror(errno));
  }
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, std::exchange(file.value, -1), static_cast<char*>(data), size));
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
  ::close(descriptor_);
}

void MappedFile::read(uint64_t offset, char* into, uint64_t size) const {
  while (size > 0) {  // one call reads at most 2 GiB
    const ssize_t got = ::pread(descriptor_, into, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw RunError(path_.string() +
                     ": cannot read: " + (got < 0 ? std::strerror(errno) : "it became shorter"));
    offset += static_cast<uint64_t>(got);
    into += got;
    size -= static_cast<uint64_t>(got);
  }
}

}  // namespace attnlab
