#include "results/run_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "core/errors.h"
#include "core/files.h"
#include "results/run_layout.h"
#include "results/run_reader.h"
#include "results/table.h"

namespace attnlab {
namespace fs = std::filesystem;

struct RunWriter::Impl {
  fs::path path;
  hdf5::Handle file;
  RunTables tables;
  hdf5::Table status;  // its columns; the dataset itself is closed again
  int64_t status_offset = 0;
  std::vector<TrainRow> train;
  std::vector<DistillationRow> distillation;
  std::vector<LikelihoodRow> likelihoods;
  std::vector<NonfiniteRow> nonfinite;  // in the file's order
  std::vector<EvaluationRow> evaluations;
  std::vector<int64_t> problem_counts;  // of each evaluation
  bool broken = false;

  ~Impl();
  void open();
  void close_handles();
  void abandon();
  template <class Action>
  void guarded(Action&& action);
  void write_status(const std::string& bytes) const;
};

namespace {

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw RunError(path.string() + ": " + what);
}

// The whole file with all rows, in good order and closed.
void write_closed(const fs::path& path, const RunRecord& record) {
  hdf5::Handle file = hdf5::open_file(path, hdf5::Mode::create);
  const StatusRow status{.state = 0, .last_step = record.last_step};
  RunTables tables = write_layout(file, record.header, status);
  tables.train.write(0, pack(tables.train, record.train.data(), record.train.size()));
  tables.evaluations.write(0, pack(tables.evaluations, record.evaluations.data(), record.evaluations.size()));
  tables.problems.write(0, pack(tables.problems, record.problems.data(), record.problems.size()));
  tables.nonfinite.write(0, pack(tables.nonfinite, record.nonfinite.data(), record.nonfinite.size()));
  for (hdf5::Table* table : {&tables.train, &tables.evaluations, &tables.problems, &tables.nonfinite})
    table->flush();
  if (tables.distillation.is_open()) {
    tables.distillation.write(
        0, pack(tables.distillation, record.distillation.data(), record.distillation.size()));
    tables.distillation.flush();
  }
  if (tables.likelihoods.is_open()) {
    tables.likelihoods.write(0, pack(tables.likelihoods, record.likelihoods.data(), record.likelihoods.size()));
    tables.likelihoods.flush();
  }
  tables = {};
  file.close("cannot write");
}

void write_published(const fs::path& path, const RunRecord& record) {
  const fs::path temporary = path.string() + ".tmp";
  std::error_code ignored;
  make_parent_folders(path);
  try {
    write_closed(temporary, record);
    publish_file(temporary, path);
  } catch (const hdf5::Error& error) {
    fs::remove(temporary, ignored);
    fail(path, error.what());
  } catch (...) {
    fs::remove(temporary, ignored);
    throw;
  }
}

// Of each evaluation.
std::vector<int64_t> count_problems(const RunRecord& record) {
  std::map<int64_t, int64_t> by_step;
  for (const auto& problem : record.problems) ++by_step[problem.step];
  std::vector<int64_t> counts;
  for (const auto& evaluation : record.evaluations) counts.push_back(by_step[evaluation.step]);
  return counts;
}

// Where a row of this step stands, or the end. Rows are in increasing order of steps.
template <class Row>
size_t place_of(const std::vector<Row>& rows, int64_t step) {
  const auto found = std::lower_bound(rows.begin(), rows.end(), step,
                                      [](const Row& row, int64_t value) { return row.step < value; });
  ATTNLAB_CHECK(step >= 0);
  ATTNLAB_CHECK(found == rows.end() || found->step == step);
  return static_cast<size_t>(found - rows.begin());
}

template <class Row>
void put_row(hdf5::Table& table, std::vector<Row>& rows, size_t place, const Row& row) {
  table.write(static_cast<int64_t>(place), pack(table, &row, 1));
  table.flush();
  if (place == rows.size()) {
    rows.push_back(row);
  } else {
    rows[place] = row;
  }
}

}  // namespace

void RunWriter::Impl::open() {
  try {
    file = hdf5::open_file(path, hdf5::Mode::swmr_write);
    tables = open_tables(file);
    status = open_status(file);
    status_offset = status.file_offset();
    status.reset();
  } catch (const hdf5::Error& error) {
    fail(path, error.what());
  }
}

RunWriter::Impl::~Impl() {
  try {
    close_handles();
  } catch (const hdf5::Error&) {  // the rows that were flushed are there all the same
  }
}

void RunWriter::Impl::close_handles() {
  if (file < 0) return;
  try {
    hdf5::reserve_for_close(file);
  } catch (const hdf5::Error&) {
    abandon();
    throw;
  }
  tables = {};
  file.close("cannot close");
}

// Closes and leaves the file as it is now.
void RunWriter::Impl::abandon() {
  broken = true;
  hdf5::disconnect(file);
  tables = {};
  file.reset();
}

// Runs a write; after the first failure no other is tried, since HDF5's caches then hold what the disk lacks.
template <class Action>
void RunWriter::Impl::guarded(Action&& action) {
  ATTNLAB_CHECK(file >= 0 || broken);
  if (broken) fail(path, "cannot write: an earlier write failed");
  try {
    action();
  } catch (const hdf5::Error& error) {
    abandon();
    fail(path, error.what());
  }
}

// Past HDF5, straight to the row's fixed place: needs no space on the disk and no working HDF5 handle.
void RunWriter::Impl::write_status(const std::string& bytes) const {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, std::string("cannot open: ") + std::strerror(errno));
  const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), status_offset);
  const bool good = written == static_cast<ssize_t>(bytes.size()) && ::fsync(descriptor) == 0;
  const std::string reason = std::strerror(errno);
  ::close(descriptor);
  if (!good) fail(path, "cannot write the status: " + reason);
}

RunWriter::RunWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunWriter::RunWriter(RunWriter&&) noexcept = default;
RunWriter& RunWriter::operator=(RunWriter&&) noexcept = default;
RunWriter::~RunWriter() = default;

RunWriter RunWriter::create(const fs::path& path, const RunHeader& header) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  RunRecord record;
  record.header = header;
  write_published(path, record);
  impl->open();
  return RunWriter(std::move(impl));
}

RunWriter RunWriter::resume(const fs::path& path, const std::function<void(RunHeader&)>& amend) {
  RunRecord record = read_run(path);
  if (amend) amend(record.header);
  write_published(path, record);
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->problem_counts = count_problems(record);
  impl->train = std::move(record.train);
  impl->nonfinite = std::move(record.nonfinite);
  impl->distillation = std::move(record.distillation);
  impl->likelihoods = std::move(record.likelihoods);
  impl->evaluations = std::move(record.evaluations);
  impl->open();
  return RunWriter(std::move(impl));
}

void RunWriter::put_train(const TrainRow& row) {
  impl_->guarded([&] { put_row(impl_->tables.train, impl_->train, place_of(impl_->train, row.step), row); });
}

void RunWriter::put_distillation(const DistillationRow& row) {
  auto& rows = impl_->distillation;
  impl_->guarded([&] {
    ATTNLAB_CHECK(impl_->tables.distillation.is_open());
    put_row(impl_->tables.distillation, rows, place_of(rows, row.step), row);
  });
}

void RunWriter::put_likelihoods(const LikelihoodRow& row) {
  auto& rows = impl_->likelihoods;
  impl_->guarded([&] {
    ATTNLAB_CHECK(impl_->tables.likelihoods.is_open());
    put_row(impl_->tables.likelihoods, rows, place_of(rows, row.step), row);
  });
}

void RunWriter::put_nonfinite(const NonfiniteRow& row) {
  auto& rows = impl_->nonfinite;
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& known) { return known.step == row.step; });
  const auto place = static_cast<size_t>(found - rows.begin());
  impl_->guarded([&] { put_row(impl_->tables.nonfinite, rows, place, row); });
}

void RunWriter::put_evaluation(const EvaluationRow& row, const std::vector<ProblemRow>& problems) {
  Impl& impl = *impl_;
  const size_t place = place_of(impl.evaluations, row.step);
  const auto count = static_cast<int64_t>(problems.size());
  for (const auto& problem : problems) ATTNLAB_CHECK(problem.step == row.step);
  int64_t first = 0;
  for (size_t i = 0; i < place; ++i) first += impl.problem_counts[i];
  ATTNLAB_CHECK(place == impl.evaluations.size() || impl.problem_counts[place] == count);
  impl.guarded([&] {
    impl.tables.problems.write(first, pack(impl.tables.problems, problems.data(), problems.size()));
    impl.tables.problems.flush();
    put_row(impl.tables.evaluations, impl.evaluations, place, row);
    if (place == impl.problem_counts.size()) impl.problem_counts.push_back(count);
  });
}

void RunWriter::set_status(RunState state, int64_t last_step, const std::string& message) {
  const StatusRow row{.state = static_cast<int64_t>(state), .last_step = last_step, .message = message};
  if (state == RunState::complete) impl_->guarded([&] { impl_->close_handles(); });
  if (state == RunState::failed) {
    try {
      impl_->close_handles();
    } catch (const hdf5::Error&) {
      impl_->broken = true;  // the disk is still full; the rows that were flushed are there all the same
    }
  }
  impl_->write_status(pack(impl_->status, &row, 1));
}

const std::vector<TrainRow>& RunWriter::train() const { return impl_->train; }
const std::vector<EvaluationRow>& RunWriter::evaluations() const { return impl_->evaluations; }
const fs::path& RunWriter::path() const { return impl_->path; }

}  // namespace attnlab
