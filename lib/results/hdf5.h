// HDF5's C API behind owning handles and exceptions. Nothing else in the project calls H5*; no other header of
// this room includes this one except table.h.
#pragma once

#include <hdf5.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace attnlab::hdf5 {

// A failed HDF5 call: what was tried and the innermost reason ("cannot write: No space left on device").
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws Error with HDF5's innermost reason if `result` is negative, else returns it.
template <class T>
T check(T result, const char* what);

// Owns an identifier of any kind.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  // Throws Error if `id` is negative.
  Handle(hid_t id, Close closer, const char* what);
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    reset();
    id_ = std::exchange(other.id_, -1);
    close_ = other.close_;
    return *this;
  }
  operator hid_t() const { return id_; }
  // Closes; failures are ignored.
  void reset() noexcept {
    if (id_ >= 0) close_(std::exchange(id_, -1));
  }
  // Closes; throws Error on failure.
  void close(const char* what);

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

// Of the library in use, "1.10.8".
std::string library_version();

// How a file is opened. No mode takes HDF5's file locks, so that a reader never blocks a writer.
enum class Mode { create, swmr_write, swmr_read, read };
Handle open_file(const std::filesystem::path& path, Mode mode);
// Closing writes: a new end of file, and blocks up to it. A disk that fills up in between would leave a file
// that claims to be longer than it is. This takes all that room from the disk beforehand, or throws Error.
void reserve_for_close(hid_t file);
// From now on nothing that HDF5 writes reaches the file. After a failed write HDF5's caches point to blocks
// that the disk lacks; left alone, the file is as a kill at that write leaves it.
void disconnect(hid_t file) noexcept;

Handle create_group(hid_t parent, const std::string& name);
Handle open_group(hid_t parent, const std::string& name);
// A UTF-8 text of exactly `bytes` bytes, padded with zeros; or H5T_VARIABLE.
Handle text_type(size_t bytes);

struct Column {
  enum class Kind { integer, number, text };
  std::string name;
  Kind kind = Kind::integer;
  size_t bytes = 8;    // 0: an open table lacks it
  bool later = false;  // tables of older files may lack it
};

// A one-dimensional table of packed compound rows. Numbers are int64 and float64, texts are fixed-length.
class Table {
 public:
  Table() = default;
  // An empty table that grows in chunks of `chunk_rows`, compressed or not. Until a row is written its first
  // column reads as -1: that is how a reader tells a row that a crash left unwritten.
  static Table create(hid_t file, const std::string& name, const std::vector<Column>& columns,
                      int64_t chunk_rows, bool compress);
  // A table of one row with a fixed place in the file.
  static Table create_single_row(hid_t file, const std::string& name, const std::vector<Column>& columns);
  // Text widths are taken from the file. Throws Error if there is no such table, or no such column.
  static Table open(hid_t file, const std::string& name, std::vector<Column> columns);
  static bool exists(hid_t file, const std::string& name);

  const std::vector<Column>& columns() const { return columns_; }
  size_t row_bytes() const { return row_bytes_; }
  int64_t rows() const;
  // Writes whole packed rows from row `first` on; the table grows as needed.
  void write(int64_t first, const std::string& bytes);
  std::string read(int64_t first, int64_t count) const;
  // Hands all that was written to the operating system, in the order that SWMR readers need.
  void flush();
  // Where a single row lies in the file, bytes from its start.
  int64_t file_offset() const;
  void reset() { dataset_.reset(); }
  bool is_open() const { return dataset_ >= 0; }

 private:
  Handle dataset_, type_;
  std::vector<Column> columns_;
  size_t row_bytes_ = 0;
};

// The reason of the last failed call.
std::string last_reason();

template <class T>
T check(T result, const char* what) {
  if (result < 0) throw Error(std::string(what) + ": " + last_reason());
  return result;
}

}  // namespace attnlab::hdf5
