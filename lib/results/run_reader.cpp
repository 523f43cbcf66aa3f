#include "results/run_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "core/errors.h"
#include "results/archive.h"
#include "results/measurements.h"
#include "results/run_layout.h"
#include "results/table.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void not_a_run(const fs::path& path, const std::string& found,
                            const std::string& expected = "the HDF5 file of a run") {
  throw InputError({.file = path.string(), .found = found, .expected = expected});
}

void check_is_hdf5(const fs::path& path) {
  if (result_exists(path) && place_in_archive(path)) return;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) not_a_run(path, "a folder");
  std::ifstream in(path, std::ios::binary);
  if (!fs::exists(path, ignored))
    not_a_run(path, "nothing there", "the HDF5 file of a run, or a folder with some");
  if (!in) not_a_run(path, "a file that cannot be read");
  char signature[8] = {};
  in.read(signature, sizeof signature);
  if (std::string_view(signature, 8) != "\x89HDF\r\n\x1a\n") not_a_run(path, "another kind of file");
}

// SWMR reading works for a file that is being written, that a crash left, and that is finished. A copy that was
// rewritten in HDF5's older formats (h5repack) opens only without it.
hdf5::Handle open_for_reading(const fs::path& path) {
  try {
    return hdf5::open_file(path, hdf5::Mode::swmr_read);
  } catch (const hdf5::Error&) {
    return hdf5::open_file(path, hdf5::Mode::read);
  }
}

// Rows up to the first that a crash left unwritten (step -1) or out of order.
template <class Row>
std::vector<Row> whole_rows(std::vector<Row> rows) {
  int64_t last = -1;
  size_t kept = 0;
  for (; kept < rows.size() && rows[kept].step > last; ++kept) last = rows[kept].step;
  rows.resize(kept);
  return rows;
}

// Rows of a run that was resumed need not be in order.
std::vector<NonfiniteRow> ordered_rows(const hdf5::Table& table) {
  if (!table.is_open()) return {};
  auto rows = read_rows<NonfiniteRow>(table);
  std::erase_if(rows, [](const auto& row) { return row.step < 0; });
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return rows;
}

void drop_uncommitted(RunRecord& record) {
  std::set<int64_t> committed;
  for (const auto& row : record.evaluations) committed.insert(row.step);
  std::erase_if(record.problems, [&](const ProblemRow& row) { return !committed.count(row.step); });
  std::erase_if(record.answers, [&](const AnswerRow& row) { return !committed.count(row.step); });
}

void read_status(hid_t file, RunRecord& record) {
  const auto rows = read_rows<StatusRow>(open_status(file));
  if (rows.size() != 1 || rows[0].state < 0 || rows[0].state > 2) throw hdf5::Error("/status is damaged");
  record.state = static_cast<RunState>(rows[0].state);
  record.last_step = rows[0].last_step;
  record.message = rows[0].message;
}

enum class Extent { status, header, rows, problems };

RunRecord read_once(const fs::path& path, Extent extent) {
  RunRecord record;
  record.path = path;
  const hdf5::Handle file = open_for_reading(path);
  const std::string format = read_format(file);
  if (format != run_format)
    throw InputError({.file = path.string(),
                      .key = "attribute format",
                      .found = format.empty() ? "" : "'" + format + "'",
                      .expected = fmt::format("'{}'", run_format)});
  read_status(file, record);
  if (extent == Extent::status) return record;
  record.header = read_header(file);
  if (extent == Extent::header) return record;
  const RunTables tables = open_tables(file);
  record.train = whole_rows(read_rows<TrainRow>(tables.train));
  if (tables.distillation.is_open())
    record.distillation = whole_rows(read_rows<DistillationRow>(tables.distillation));
  if (tables.likelihoods.is_open())
    record.likelihoods = whole_rows(read_rows<LikelihoodRow>(tables.likelihoods));
  record.nonfinite = ordered_rows(tables.nonfinite);
  // Evaluations before problems: then the problems of each evaluation that is seen are there too.
  record.evaluations = whole_rows(read_rows<EvaluationRow>(tables.evaluations));
  record.answers = read_rows<AnswerRow>(open_answers(file));
  if (extent == Extent::problems) record.problems = read_rows<ProblemRow>(tables.problems);
  drop_uncommitted(record);
  return record;
}

// A reader beside a writer may catch a block between two writes; it then reads again.
RunRecord read_patiently(const fs::path& path, Extent extent) {
  check_is_hdf5(path);
  constexpr int tries = 5;
  for (int attempt = 1;; ++attempt) {
    try {
      return read_once(path, extent);
    } catch (const hdf5::Error& error) {
      if (attempt == tries)
        throw RunError(fmt::format("{}: a damaged run file ({}); moved away, the same command makes it anew",
                                   path.string(), error.what()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

bool is_run_name(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("seed") && name.ends_with(".h5") && !name.ends_with(measurements_ending);
}

std::vector<fs::path> run_files(std::vector<fs::path> paths) {
  std::erase_if(paths, [](const fs::path& path) { return !is_run_name(path); });
  return paths;
}

}  // namespace

bool holds_runs(const fs::path& path) {
  const std::vector<fs::path> files = result_files(path);
  if (files.size() == 1 && files[0] == path) return !path.string().ends_with(measurements_ending);
  return !run_files(files).empty();
}

RunRecord read_run(const fs::path& path, bool with_problems) {
  return read_patiently(path, with_problems ? Extent::problems : Extent::rows);
}

RunRecord read_run_header(const fs::path& path) { return read_patiently(path, Extent::header); }

RunState read_state(const fs::path& path) { return read_patiently(path, Extent::status).state; }

std::vector<RunRecord> read_runs(const fs::path& folder_or_file, bool with_problems) {
  const std::vector<fs::path> files = result_files(folder_or_file);
  if (files.size() == 1 && files[0] == folder_or_file) return {read_run(folder_or_file, with_problems)};
  const std::vector<fs::path> paths = run_files(files);
  if (paths.empty())
    throw InputError({.file = folder_or_file.string(), .found = "no run", .expected = "files seed*.h5"});
  std::vector<RunRecord> records;
  for (const auto& path : paths) records.push_back(read_run(path, with_problems));
  return records;
}

std::string hdf5_version() { return hdf5::library_version(); }

}  // namespace attnlab
