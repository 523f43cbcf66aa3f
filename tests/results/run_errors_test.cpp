#include <hdf5.h>
#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "core/errors.h"
#include "results/run_reader.h"
#include "sample_run.h"
#include "small_disk.h"

// HDF5 1.10 loses a little memory of its own when a file is damaged or its disk is full.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace attnlab {
namespace {
using namespace test;
namespace fs = std::filesystem;

template <class Exception, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Exception& error) {
    return error.what();
  }
  return "no such exception";
}

TEST_CASE("what is no run file is named with its path") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "seed0.h5";
  const std::string missing = message_of<InputError>([&] { read_run(path); });
  CHECK_THAT(missing, ContainsSubstring(path.string()) && ContainsSubstring("nothing there"));
  std::ofstream(path) << "step,loss\n1,2\n";
  const std::string text = message_of<InputError>([&] { read_run(path); });
  CHECK_THAT(text, ContainsSubstring(path.string()) && ContainsSubstring("another kind of file"));
  CHECK_THAT(message_of<InputError>([&] { read_state(path); }), ContainsSubstring("another kind"));
  CHECK_THAT(message_of<InputError>([&] { RunWriter::resume(path); }), ContainsSubstring("another kind"));
  CHECK_THAT(message_of<InputError>([&] { read_run(folder.path()); }), ContainsSubstring("a folder"));
  CHECK_THAT(message_of<InputError>([&] { read_runs(folder.path() / "nothing"); }),
             ContainsSubstring("nothing there"));
  fs::remove(path);
  CHECK_THAT(message_of<InputError>([&] { read_runs(folder.path()); }), ContainsSubstring("seed*.h5"));
}

TEST_CASE("an HDF5 file of another format is refused") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "seed0.h5";
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  REQUIRE(file >= 0);
  H5Fflush(file, H5F_SCOPE_LOCAL);
  H5Fclose(file);
  CHECK_THAT(message_of<InputError>([&] { read_run(path); }),
             ContainsSubstring("attribute format: found nothing, expected 'attnlab run 1'"));
  const hid_t again = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, 13);
  const hid_t attribute = H5Acreate2(again, "format", type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, "attnlab run 9");
  H5Aclose(attribute);
  H5Fclose(again);
  CHECK_THAT(message_of<InputError>([&] { read_run(path); }),
             ContainsSubstring(path.string() + ": attribute format: found 'attnlab run 9'"));
}

TEST_CASE("a damaged file ends in one line, not in a crash") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "seed0.h5";
  {
    RunWriter writer = RunWriter::create(path, sample_header());
    writer.put_train(sample_train(1));
  }
  const auto whole = fs::file_size(path);
  for (const size_t part : {static_cast<size_t>(whole / 2), size_t{5000}, size_t{600}, size_t{20}, size_t{3}}) {
    fs::resize_file(path, part);
    const std::string message = message_of<std::runtime_error>([&] { read_run(path); });
    CHECK_THAT(message, ContainsSubstring(path.string()));
    CHECK(message.find('\n') == std::string::npos);
    fs::resize_file(path, whole);  // with zeros, as after a power cut
    const std::string zeros = message_of<std::runtime_error>([&] { read_run(path); });
    CHECK_THAT(zeros, ContainsSubstring(path.string()));
  }
}

TEST_CASE("a folder that cannot be made is a RunError") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const fs::path path = folder.path() / "file" / "seed0.h5";
  CHECK_THAT(message_of<RunError>([&] { RunWriter::create(path, {}); }), ContainsSubstring(path.string()));
}

TEST_CASE("a full disk is reported, and rows before it are safe and the run can go on") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path() / "disk", "256k");
  if (!disk.mounted) SKIP_TEST("this user may not mount a small disk");
  const fs::path path = disk.folder / "seed0.h5", ballast = disk.folder / "ballast";
  int64_t step = 0;
  {
    RunWriter writer = RunWriter::create(path, sample_header());
    std::ofstream(ballast) << std::string(160'000, 'x');
    const std::string reason = message_of<RunError>([&] {
      for (;; ++step) writer.put_train(sample_train(step + 1));
    });
    CHECK(reason == path.string() + ": cannot write: No space left on device");
    CHECK(static_cast<int64_t>(writer.train().size()) == step);
    CHECK_THAT(message_of<RunError>([&] { writer.put_train(sample_train(step + 1)); }),
               ContainsSubstring("an earlier write failed"));
    CHECK_THAT(message_of<RunError>([&] { RunWriter::create(disk.folder / "seed1.h5", sample_header()); }),
               ContainsSubstring("No space left"));
    CHECK_FALSE(fs::exists(disk.folder / "seed1.h5"));
    CHECK_FALSE(fs::exists(disk.folder / "seed1.h5.tmp"));
    writer.set_status(RunState::failed, step, reason);
  }
  CHECK(step > 100);
  const RunRecord record = read_run(path);
  CHECK(record.state == RunState::failed);
  CHECK_THAT(record.message, ContainsSubstring("No space left"));
  REQUIRE(static_cast<int64_t>(record.train.size()) >= step);
  CHECK(same_row(record.train[static_cast<size_t>(step) - 1], sample_train(step)));

  fs::remove(ballast);
  RunWriter writer = RunWriter::resume(path);
  writer.put_train(sample_train(step + 1));
  CHECK(static_cast<int64_t>(read_run(path).train.size()) == step + 1);
}

}  // namespace
}  // namespace attnlab
