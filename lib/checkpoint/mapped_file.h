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

 private:
  MappedFile(char* data, uint64_t size) : data_(data), size_(size) {}
  char* data_;
  uint64_t size_;
};

}  // namespace attnlab
