// A file that is written under a temporary name, so that its final name never shows half of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace attnlab {

// The file is removed again at the end of the scope unless it was published. All members throw RunError with
// the system's reason (disk full, read-only, …).
class TemporaryFile {
 public:
  // Creates or empties `path`, and the folders above it.
  explicit TemporaryFile(std::filesystem::path path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const char* data, uint64_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  // Flushes to the disk and gives the descriptor back: what follows can only be publish().
  void close();
  // Flushes and renames to `path`, over what is there.
  void publish(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool published_ = false;
};

// Bytes on the disk that have no name, so that nothing can leave them behind.
class SpoolFile {
 public:
  explicit SpoolFile(const std::filesystem::path& folder);
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  uint64_t size() const { return size_; }
  // All of the bytes or, if it throws, none of them.
  void append(const char* data, uint64_t size);
  void copy(uint64_t offset, uint64_t size, TemporaryFile& into) const;
  void clear();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

// Makes renames and removals in a folder last through a power failure. Throws RunError.
void sync_folder(const std::filesystem::path& folder);
// Removes a file if it is there. Throws RunError.
void remove_file(const std::filesystem::path& path);

}  // namespace attnlab
