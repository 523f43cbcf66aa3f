// Files: reading, atomic writing, hashing, locking.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace attnlab {

// The whole file. Throws InputError naming the path if there is none to read, or only what git-lfs leaves in
// its place, and RunError if reading it fails half-way.
std::string read_file(const std::filesystem::path& path);

// Whether these are the few lines that stand for a file that git-lfs has not fetched.
bool is_lfs_pointer(std::string_view bytes);

// Makes the folders above `path`. Throws RunError with the system's reason.
void make_parent_folders(const std::filesystem::path& path);

// Writes to "PATH.tmp", fsyncs and renames, so that PATH is never half written. Creates parent folders. Leaves
// nothing where it fails.
// Throws RunError (with the system's reason: disk full, read-only, …).
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

// fsyncs a finished temporary file and renames it over `path`. Throws RunError.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& path);

// Lower-case hexadecimal SHA-256.
std::string sha256(std::string_view bytes);
std::string sha256_file(const std::filesystem::path& path);
// A folder's hash: over the sorted list of "HASH  RELATIVE_PATH\n" of its regular files.
std::string sha256_tree(const std::filesystem::path& path);

// An advisory lock on a file that dies with its process (flock), so that a kill never leaves it behind. What it
// is worth on network file systems: scripts/cluster/README.md.
class FileLock {
 public:
  // Creates the file and the folders above it if needed. Throws RunError if it cannot.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  // True if this process now holds the lock, which the file then says; false if another one does. Throws
  // RunError where the file system has no locks.
  bool try_lock();
  // Who took it last, as the file says it: "HOST, process PID"; "" if it says nothing.
  std::string holder() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace attnlab
