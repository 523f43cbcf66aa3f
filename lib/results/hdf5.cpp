#include "results/hdf5.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "results/archive.h"

namespace attnlab::hdf5 {
namespace {

// HDF5 neither prints its error stack nor flushes at exit: every file is closed by its owner, and a file whose
// disk is full must not be tried again by a library that is shutting down.
void quiet() {
  static const bool no_exit_handler = H5dont_atexit() >= 0;
  (void)no_exit_handler;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread in thread-safe builds, so each time
}

struct Reason {
  std::string innermost, system;
};

herr_t note_reason(unsigned, const H5E_error2_t* error, void* out) {
  auto& reason = *static_cast<Reason*>(out);
  const std::string text = error->desc ? error->desc : "";
  if (reason.innermost.empty()) reason.innermost = text;
  const std::string marker = "error message = '";
  const size_t start = text.find(marker);
  if (start != std::string::npos && reason.system.empty()) {
    const size_t from = start + marker.size();
    reason.system = text.substr(from, text.find('\'', from) - from);
  }
  return 0;
}

Handle file_access() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "cannot make an access list");
#if H5_VERSION_GE(1, 10, 7)
  check(H5Pset_file_locking(access, false, true), "cannot turn file locking off");
#endif
  check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "cannot set the close degree");
  // A reader waits 1, 2, 4, … ns for a block whose checksum is wrong to become right. HDF5's own 100 attempts
  // would never end on a damaged file; 22 are 4 ms.
  check(H5Pset_metadata_read_attempts(access, 22), "cannot set the read attempts");
  // The format of HDF5 1.10: the first with SWMR, and readable by all later versions.
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "cannot set the format version");
  return access;
}

Handle create_file(const std::filesystem::path& path, hid_t access) {
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "cannot make a creation list");
  check(H5Pset_attr_phase_change(creation, 8, 6), "cannot set the attribute storage");
  check(H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), "cannot order");
  // Pages of the system's size: no metadata block crosses a page, so a kill inside a write cannot tear one.
  check(H5Pset_file_space_strategy(creation, H5F_FSPACE_STRATEGY_PAGE, false, 1), "cannot set paging");
  check(H5Pset_file_space_page_size(creation, 4096), "cannot set the page size");
  return Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, "cannot create");
}

// A file whose bytes are in memory. Such a file is not being written.
Handle open_image(const std::filesystem::path& path, std::string bytes, Mode mode) {
  if (mode == Mode::swmr_read) throw Error("nothing is written inside an archive");
  const Handle access = file_access();
  check(H5Pset_fapl_core(access, 1 << 16, false), "cannot read from memory");
  check(H5Pset_file_image(access, bytes.data(), bytes.size()), "cannot read from memory");
  return Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose, "cannot open");
}

Handle compound_type(const std::vector<Column>& columns, size_t row_bytes) {
  Handle type(H5Tcreate(H5T_COMPOUND, row_bytes), H5Tclose, "cannot make a row type");
  size_t offset = 0;
  for (const Column& column : columns) {
    if (column.bytes == 0) continue;
    if (column.kind == Column::Kind::text) {
      const Handle text = text_type(column.bytes);
      check(H5Tinsert(type, column.name.c_str(), offset, text), "cannot add a column");
    } else {
      const hid_t number = column.kind == Column::Kind::integer ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
      check(H5Tinsert(type, column.name.c_str(), offset, number), "cannot add a column");
    }
    offset += column.bytes;
  }
  return type;
}

size_t packed_bytes(const std::vector<Column>& columns) {
  size_t bytes = 0;
  for (const Column& column : columns) bytes += column.bytes;
  return bytes;
}

int descriptor_of(hid_t file) {
  void* descriptor = nullptr;
  check(H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor), "cannot find the descriptor");
  return *static_cast<int*>(descriptor);
}

}  // namespace

std::string last_reason() {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_reason, &reason);
  if (!reason.system.empty()) return reason.system;
  return reason.innermost.empty() ? "HDF5 gives no reason" : reason.innermost;
}

Handle::Handle(hid_t id, Close closer, const char* what) : id_(id), close_(closer) { check(id, what); }

void Handle::close(const char* what) {
  if (id_ >= 0) check(close_(std::exchange(id_, -1)), what);
}

std::string library_version() {
  quiet();
  unsigned major = 0, minor = 0, release = 0;
  check(H5get_libversion(&major, &minor, &release), "cannot ask for the version");
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

Handle open_file(const std::filesystem::path& path, Mode mode) {
  quiet();
  if (mode == Mode::read || mode == Mode::swmr_read)
    if (const auto place = place_in_archive(path); place && !place->member.empty())
      return open_image(path, read_member(*place), mode);
  const Handle access = file_access();
  if (mode == Mode::create) return create_file(path, access);
  unsigned flags = H5F_ACC_RDONLY;
  if (mode == Mode::swmr_read) flags |= H5F_ACC_SWMR_READ;
  if (mode == Mode::swmr_write) flags = H5F_ACC_RDWR | H5F_ACC_SWMR_WRITE;
  return Handle(H5Fopen(path.c_str(), flags, access), H5Fclose, "cannot open");
}

void reserve_for_close(hid_t file) {
  hsize_t bytes = 0;  // the larger of the file and of what HDF5 has given out
  check(H5Fget_filesize(file, &bytes), "cannot find the size");
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(descriptor_of(file), 0, static_cast<off_t>(bytes));
  if (error != 0) throw Error(std::string("cannot write: ") + std::strerror(error));
}

void disconnect(hid_t file) noexcept {
  // A file in memory: unlike /dev/null it can be resized, which closing does.
  const int nowhere = ::memfd_create("closed", MFD_CLOEXEC);
  if (nowhere < 0) return;
  try {
    ::dup2(nowhere, descriptor_of(file));
  } catch (const Error&) {
  }
  ::close(nowhere);
}

Handle create_group(hid_t parent, const std::string& name) {
  const Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "cannot make a creation list");
  check(H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), "cannot order");
  return Handle(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose,
                "cannot make a group");
}

Handle open_group(hid_t parent, const std::string& name) {
  return Handle(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), H5Gclose, "cannot open a group");
}

Handle text_type(size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "cannot make a text type");
  check(H5Tset_size(type, bytes), "cannot set a text width");
  if (bytes != H5T_VARIABLE) check(H5Tset_strpad(type, H5T_STR_NULLPAD), "cannot set the padding");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "cannot set UTF-8");
  return type;
}

Table Table::create(hid_t file, const std::string& name, const std::vector<Column>& columns, int64_t chunk_rows,
                    bool compress) {
  Table table;
  table.columns_ = columns;
  table.row_bytes_ = packed_bytes(columns);
  table.type_ = compound_type(columns, table.row_bytes_);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "cannot make a creation list");
  const hsize_t chunk = static_cast<hsize_t>(chunk_rows), none = 0, endless = H5S_UNLIMITED;
  check(H5Pset_chunk(creation, 1, &chunk), "cannot set the chunk");
  if (compress) {
    check(H5Pset_shuffle(creation), "cannot set shuffle");
    check(H5Pset_deflate(creation, 4), "cannot set deflate");
  }
  std::string unwritten(table.row_bytes_, '\0');
  std::memset(unwritten.data(), 0xff, sizeof(int64_t));  // -1 in the first column
  check(H5Pset_fill_value(creation, table.type_, unwritten.data()), "cannot set the fill value");
  const Handle space(H5Screate_simple(1, &none, &endless), H5Sclose, "cannot make a table");
  table.dataset_ =
      Handle(H5Dcreate2(file, name.c_str(), table.type_, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
             "cannot make a table");
  return table;
}

Table Table::create_single_row(hid_t file, const std::string& name, const std::vector<Column>& columns) {
  Table table;
  table.columns_ = columns;
  table.row_bytes_ = packed_bytes(columns);
  table.type_ = compound_type(columns, table.row_bytes_);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "cannot make a creation list");
  check(H5Pset_layout(creation, H5D_CONTIGUOUS), "cannot set the layout");
  check(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), "cannot set the allocation");
  const hsize_t one = 1;
  const Handle space(H5Screate_simple(1, &one, nullptr), H5Sclose, "cannot make a table");
  table.dataset_ =
      Handle(H5Dcreate2(file, name.c_str(), table.type_, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose,
             "cannot make a table");
  return table;
}

Table Table::open(hid_t file, const std::string& name, std::vector<Column> columns) {
  Table table;
  table.dataset_ = Handle(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, "cannot open a table");
  const Handle stored(H5Dget_type(table.dataset_), H5Tclose, "cannot read a table's type");
  for (Column& column : columns) {
    const int place = H5Tget_member_index(stored, column.name.c_str());
    if (place < 0 && column.later) {
      column.bytes = 0;
      continue;
    }
    const int member = check(place, "a column is missing");
    const Handle type(H5Tget_member_type(stored, static_cast<unsigned>(member)), H5Tclose,
                      "cannot read a column");
    if (column.kind == Column::Kind::text) column.bytes = H5Tget_size(type);
  }
  table.row_bytes_ = packed_bytes(columns);
  table.type_ = compound_type(columns, table.row_bytes_);
  table.columns_ = std::move(columns);
  return table;
}

bool Table::exists(hid_t file, const std::string& name) {
  return check(H5Lexists(file, name.c_str(), H5P_DEFAULT), "cannot look for a table") > 0;
}

int64_t Table::rows() const {
  const Handle space(H5Dget_space(dataset_), H5Sclose, "cannot read a table's size");
  hsize_t extent = 0;
  check(H5Sget_simple_extent_dims(space, &extent, nullptr), "cannot read a table's size");
  return static_cast<int64_t>(extent);
}

namespace {
// `count` rows from `first` on, of a table's space.
Handle select_rows(hid_t dataset, int64_t first, int64_t count) {
  Handle space(H5Dget_space(dataset), H5Sclose, "cannot read a table's size");
  const hsize_t start = static_cast<hsize_t>(first), size = static_cast<hsize_t>(count);
  check(H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &size, nullptr), "cannot select rows");
  return space;
}
Handle memory_space(int64_t count) {
  const hsize_t size = static_cast<hsize_t>(count);
  return Handle(H5Screate_simple(1, &size, nullptr), H5Sclose, "cannot select rows");
}
}  // namespace

void Table::write(int64_t first, const std::string& bytes) {
  const int64_t count = static_cast<int64_t>(bytes.size() / row_bytes_);
  if (count == 0) return;
  const hsize_t needed = static_cast<hsize_t>(first + count);
  if (first + count > rows()) check(H5Dset_extent(dataset_, &needed), "cannot grow a table");
  const Handle space = select_rows(dataset_, first, count), memory = memory_space(count);
  check(H5Dwrite(dataset_, type_, memory, space, H5P_DEFAULT, bytes.data()), "cannot write");
}

std::string Table::read(int64_t first, int64_t count) const {
  std::string bytes(static_cast<size_t>(count) * row_bytes_, '\0');
  if (count == 0) return bytes;
  const Handle space = select_rows(dataset_, first, count), memory = memory_space(count);
  check(H5Dread(dataset_, type_, memory, space, H5P_DEFAULT, bytes.data()), "cannot read");
  return bytes;
}

void Table::flush() { check(H5Dflush(dataset_), "cannot write"); }

int64_t Table::file_offset() const {
  const haddr_t offset = H5Dget_offset(dataset_);
  if (offset == HADDR_UNDEF) throw Error("cannot find the status row");
  return static_cast<int64_t>(offset);
}

}  // namespace attnlab::hdf5
