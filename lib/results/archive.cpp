#include "results/archive.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <system_error>

#include "core/errors.h"
#include "core/files.h"
#include "core/numbers.h"
#include "core/scratch_folder.h"
#include "results/attributes.h"
#include "results/evaluation_file.h"
#include "results/run_layout.h"
#include "results/whole_file.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* kArchiveFormat = "attnlab archive 1";
constexpr hsize_t largest_chunk = 1 << 20;

bool is_archive_name(const fs::path& path) { return path.string().ends_with(archive_ending); }
bool is_archive_file(const fs::path& path) {
  std::error_code ignored;
  return is_archive_name(path) && fs::is_regular_file(path, ignored);
}

void write_member(hid_t file, const std::string& name, const std::string& bytes) {
  const hsize_t size = bytes.size(), chunk = std::clamp<hsize_t>(size, 1, largest_chunk);
  const hdf5::Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "cannot make a link list");
  hdf5::check(H5Pset_create_intermediate_group(links, 1), "cannot make folders");
  const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "cannot make a creation list");
  hdf5::check(H5Pset_chunk(creation, 1, &chunk), "cannot set the chunk");
  hdf5::check(H5Pset_deflate(creation, 9), "cannot set deflate");
  const hdf5::Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose, "cannot make a member");
  const hdf5::Handle data(H5Dcreate2(file, name.c_str(), H5T_NATIVE_UINT8, space, links, creation, H5P_DEFAULT),
                          H5Dclose, "cannot make a member");
  hdf5::check(H5Dwrite(data, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), "cannot write");
}

// Of "tasks.seed7.step100.h5", 7.
std::optional<int64_t> seed_of(const std::string& name) {
  constexpr std::string_view prefix = "tasks.seed";
  if (!name.starts_with(prefix)) return std::nullopt;
  return parse_number<int64_t>(name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size()));
}

std::string first_of_arm(const std::vector<fs::path>& files, const fs::path& file) {
  std::pair<int64_t, std::string> lowest{std::numeric_limits<int64_t>::max(), ""};
  for (const auto& other : files) {
    if (other.parent_path() != file.parent_path()) continue;
    const std::string name = other.filename().string();
    if (const auto seed = seed_of(name)) lowest = std::min(lowest, {*seed, name});
  }
  return lowest.second;
}

// The file of an evaluation without the texts of replies from number `kept` on.
std::string without_replies(const fs::path& file, int64_t kept) {
  EvaluationRecord record = read_evaluation(file);
  for (auto& task : record.tasks)
    for (size_t i = static_cast<size_t>(kept); i < task.replies.size(); ++i) task.replies[i].text.clear();
  const ScratchFolder scratch("attnlab-archive");
  write_evaluation(scratch.path / file.filename(), record);
  return read_file(scratch.path / file.filename());
}

std::string bytes_of(const std::vector<fs::path>& files, const fs::path& file,
                     std::optional<int64_t> kept_replies) {
  if (!kept_replies || !file.filename().string().starts_with("tasks.seed")) return read_file(file);
  return without_replies(file, file.filename() == first_of_arm(files, file) ? *kept_replies : 0);
}

hdf5::Handle open_archive(const fs::path& path) {
  hdf5::Handle file = hdf5::open_file(path, hdf5::Mode::read);
  const std::string format = read_format(file);
  if (format != kArchiveFormat)
    throw InputError(BadInput{.file = path.string(),
                              .found = "format '" + format + "'",
                              .expected = std::string("'") + kArchiveFormat + "'"});
  return file;
}

herr_t add_name(hid_t, const char* name, const H5O_info_t* info, void* names) {
  if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

std::vector<fs::path> members_of(const fs::path& archive) {
  const hdf5::Handle file = open_archive(archive);
  std::vector<std::string> names;
#if H5_VERSION_GE(1, 10, 3)
  hdf5::check(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, add_name, &names, H5O_INFO_BASIC), "cannot list");
#else
  hdf5::check(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, add_name, &names), "cannot list");
#endif
  std::vector<fs::path> paths;
  for (const auto& name : names) paths.push_back(archive / name);
  return paths;
}

std::vector<fs::path> members_below(const ArchivePlace& place) {
  std::vector<fs::path> paths = members_of(place.archive);
  if (place.member.empty()) return paths;
  const std::string file = (place.archive / place.member).string();
  std::erase_if(paths,
                [&](const fs::path& path) { return path != file && !path.string().starts_with(file + "/"); });
  return paths;
}

}  // namespace

int64_t write_archive(const fs::path& path, const fs::path& folder, std::optional<int64_t> kept_replies) {
  if (!is_archive_name(path))
    throw InputError(BadInput{.file = path.string(),
                              .found = "this name",
                              .expected = std::string("one that ends in ") + archive_ending});
  std::vector<fs::path> files = result_files(folder);
  std::erase_if(files, [](const fs::path& file) { return place_in_archive(file).has_value(); });
  if (!fs::is_directory(folder) || files.empty())
    throw InputError(BadInput{.file = folder.string(), .found = "no results", .expected = "files *.h5"});
  write_whole_file(path, [&](hid_t file) {
    write_attribute(file, "format", std::string(kArchiveFormat));
    for (const auto& member : files)
      write_member(file, member.lexically_relative(folder).generic_string(),
                   bytes_of(files, member, kept_replies));
  });
  return static_cast<int64_t>(files.size());
}

std::optional<ArchivePlace> place_in_archive(const fs::path& path) {
  fs::path prefix;
  for (auto part = path.begin(); part != path.end(); ++part) {
    prefix /= *part;
    if (!is_archive_name(prefix) || !is_archive_file(prefix)) continue;
    fs::path member;
    for (++part; part != path.end(); ++part) member /= *part;
    return ArchivePlace{.archive = prefix, .member = member.generic_string()};
  }
  return std::nullopt;
}

std::string read_member(const ArchivePlace& place) {
  const hdf5::Handle file = open_archive(place.archive);
  const hdf5::Handle data(H5Dopen2(file, place.member.c_str(), H5P_DEFAULT), H5Dclose,
                          "no such file in the archive");
  const hdf5::Handle space(H5Dget_space(data), H5Sclose, "cannot read a member's size");
  hsize_t size = 0;
  hdf5::check(H5Sget_simple_extent_dims(space, &size, nullptr), "cannot read a member's size");
  std::string bytes(size, '\0');
  hdf5::check(H5Dread(data, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), "cannot read");
  return bytes;
}

std::vector<fs::path> result_files(const fs::path& folder_or_file) {
  if (const auto place = place_in_archive(folder_or_file)) return members_below(*place);
  std::error_code ignored;
  if (!fs::is_directory(folder_or_file, ignored)) return {folder_or_file};
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder_or_file)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".h5") continue;
    if (!is_archive_name(entry.path())) {
      paths.push_back(entry.path());
      continue;
    }
    for (auto& member : members_of(entry.path())) paths.push_back(std::move(member));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool result_exists(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return true;
  const auto place = place_in_archive(path);
  if (!place || place->member.empty()) return false;
  const auto members = members_of(place->archive);
  return std::find(members.begin(), members.end(), path) != members.end();
}

}  // namespace attnlab
