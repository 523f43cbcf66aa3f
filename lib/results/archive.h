// Many result files in one: an HDF5 file whose datasets are the bytes of other HDF5 files, compressed, each
// under its path. A path into an archive, "all.archive.h5/gqa/seed0.h5", is read like that of a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace attnlab {

inline constexpr const char* archive_ending = ".archive.h5";

// Puts all files *.h5 below `folder`, archives left out, into `path`, which is replaced as a whole; returns how
// many. Throws InputError if there are none or `path` does not end as it must, RunError if it cannot be
// written.
// `kept_replies`: of what models replied to tasks, only the texts of the first so many replies are kept, and
// those of an arm's lowest seed alone; how replies were judged is always kept.
int64_t write_archive(const std::filesystem::path& path, const std::filesystem::path& folder,
                      std::optional<int64_t> kept_replies = std::nullopt);

// Where a path leads into an archive.
struct ArchivePlace {
  std::filesystem::path archive;
  std::string member;  // "gqa/seed0.h5"; empty: the archive itself
};
// Nothing if no part of the path is the file of an archive.
std::optional<ArchivePlace> place_in_archive(const std::filesystem::path& path);
// The bytes of a file in an archive. Throws hdf5::Error.
std::string read_member(const ArchivePlace& place);

// All files *.h5 below a folder, and those inside the archives there, sorted; or those of an archive, or of a
// folder in one. Anything else: itself.
std::vector<std::filesystem::path> result_files(const std::filesystem::path& folder_or_file);
// True for a file, also for one inside an archive.
bool result_exists(const std::filesystem::path& path);

}  // namespace attnlab
