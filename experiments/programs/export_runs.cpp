// export_runs RESULTS... --to FORM --out DIR: runs for other tools.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/files.h"
#include "program.h"
#include "python_script.h"
#include "results/archive.h"
#include "results/run_events.h"
#include "results/tidy_tables.h"

namespace attnlab {
extern const char* const kParquetScript;

enum class Form { tensorboard, csv, parquet, archive, folder };
template <>
struct EnumNames<Form> {
  static constexpr std::array<std::pair<std::string_view, Form>, 5> rows{{{"tensorboard", Form::tensorboard},
                                                                          {"csv", Form::csv},
                                                                          {"parquet", Form::parquet},
                                                                          {"archive", Form::archive},
                                                                          {"folder", Form::folder}}};
};
}  // namespace attnlab

namespace {
using namespace attnlab;
namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> results;
  std::string to, out;
  int64_t replies = -1;
};

// Each file once, however often it was named.
std::vector<RunRecord> read_all(const std::vector<std::string>& results) {
  std::vector<RunRecord> runs;
  std::set<fs::path> seen;
  for (const auto& folder : results)
    for (auto& run : read_runs(folder))
      if (seen.insert(fs::weakly_canonical(run.path)).second) runs.push_back(std::move(run));
  return runs;
}

// Rows of two runs under one name could not be told apart.
void require_distinct(const std::vector<RunRecord>& runs) {
  std::map<fs::path, fs::path> seen;
  for (const auto& run : runs) {
    const auto [place, is_new] = seen.emplace(event_path(run).parent_path(), run.path);
    if (!is_new)
      throw InputError(
          BadInput{.file = run.path.string(),
                   .found = "the experiment, arm, sweep point and seed of " + place->second.string(),
                   .expected = "each run once"});
  }
}

void write(const fs::path& path, const std::string& bytes) {
  write_file_atomic(path, bytes);
  fmt::print("{}\n", path.string());
}

void write_tables(const std::vector<RunRecord>& runs, const fs::path& out) {
  for (const auto& table : tidy_tables(runs)) write(out / (table.name + ".csv"), table.csv);
}

void require_pyarrow() {
  if (run_python("import importlib.util as u, sys; sys.exit(not u.find_spec('pyarrow'))") != 0)
    throw RunError(
        "--to parquet needs the Python package pyarrow: python3 -m pip install pyarrow, or name a "
        "Python that has it in ATTNLAB_PYTHON");
}

void archive(const Options& o) {
  if (o.results.size() != 1 || !fs::is_directory(o.results[0]))
    throw InputError(
        BadInput{.file = "RESULTS", .found = o.results[0], .expected = "one folder, for --to archive"});
  require_range("--replies", o.replies, -1);
  std::optional<int64_t> replies;
  if (o.replies >= 0) replies = o.replies;
  const int64_t files = write_archive(o.out, o.results[0], replies);
  fmt::print("{}: {} files\n", o.out, files);
}

// The files of an archive as they were, for a plan that goes on behind them.
void unpack(const Options& o) {
  const auto place = o.results.size() == 1 ? place_in_archive(o.results[0]) : std::nullopt;
  if (!place || !place->member.empty())
    throw InputError(
        BadInput{.file = "RESULTS", .found = join(o.results), .expected = "one archive, for --to folder"});
  const auto members = result_files(place->archive);
  const auto target = [&](const fs::path& member) {
    return fs::path(o.out) / member.lexically_relative(place->archive);
  };
  for (const auto& member : members)
    if (fs::exists(target(member)))
      throw InputError(BadInput{.file = target(member).string(),
                                .found = "a file that is there already",
                                .expected = "a folder without what the archive holds"});
  for (const auto& member : members) write_file_atomic(target(member), read_member(*place_in_archive(member)));
  fmt::print("{}: {} files\n", o.out, members.size());
}

void export_runs(const Options& o) {
  if (o.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  require_given("--to", o.to, "one of " + join(all_names<Form>()));
  const Form form = parse_name<Form>("--to", o.to);
  require_given("--out", o.out, form == Form::archive ? "the archive to write" : "the folder to write to");
  if (form == Form::archive) return archive(o);
  if (form == Form::folder) return unpack(o);
  const std::vector<RunRecord> runs = read_all(o.results);
  require_distinct(runs);
  if (form == Form::parquet) require_pyarrow();
  if (form == Form::tensorboard) {
    for (const auto& run : runs) write(fs::path(o.out) / event_path(run), event_bytes(run));
    return;
  }
  write_tables(runs, o.out);
  std::fflush(stdout);  // before what the script prints
  if (form == Form::parquet && run_python(kParquetScript, {o.out}) != 0)
    throw RunError(o.out + ": the tables could not be converted to Parquet; the CSV files are there");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "export_runs",
       .usage = "RESULTS... --to FORM --out DIR",
       .about =
           "RESULTS: folders with runs (seed*.h5 at any depth) or single run files, unfinished ones, too.\n\n"
           "tensorboard: DIR/EXPERIMENT/ARM[/POINT]/seedK/events.out.tfevents.*, for tensorboard --logdir DIR\n"
           "csv: one file per table:\n" +
           describe_tidy_tables() +
           "\nparquet: the CSV files and the same as Parquet (needs Python with pyarrow)\n"
           "archive: all files *.h5 of one folder in one file, NAME.archive.h5, which all programs read like "
           "the "
           "folder\n"
           "folder: the files of one archive again; run_ablation --out DIR goes on behind them",
       .example = "export_runs results/quickstart --to tensorboard --out results/quickstart/tensorboard"});
  program.positional("results", o.results)
      .option("to", o.to, "FORM", join(all_names<Form>()) + " (required)")
      .option("out", o.out, "DIR", "the folder that files go to, or the archive (required)")
      .option("replies", o.replies, "N",
              "archive: texts of the first N replies of an arm's lowest seed only; -1: all");
  return program.run(argc, argv, [&] { export_runs(o); });
}
