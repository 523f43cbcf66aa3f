// A file's bytes in memory, loaded by the system page by page as they are touched.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

namespace attnlab {

// The mapping is private: writing to it changes this process's pages and never the file. A file that another
// program truncates while it is mapped ends this process with SIGBUS; one that is replaced by rename does not.
class MappedFile {
 public:
  // Throws InputError if there is no readable regular file at `path`, RunError if the system can't map it.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* data() const { return data_; }  // nullptr for an empty file
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  // Copies bytes of the file itself, past the mapping: none of its pages becomes resident, and what was written
  // to them is not seen. Throws RunError if the system can't read them.
  void read(uint64_t offset, char* into, uint64_t size) const;

 private:
  MappedFile(std::filesystem::path path, int descriptor, char* data, uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), data_(data), size_(size) {}
  std::filesystem::path path_;
  int descriptor_;
  char* data_;
  uint64_t size_;
};

}  // namespace attnlab
