// make_artifact RESULTS...: a folder that a reviewer can check, or the check.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/files.h"
#include "program.h"
#include "report/artifact.h"
#include "results/archive.h"

namespace {
using namespace attnlab;
namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> results;
  std::string out, check, claims;
};

// With the runs that chose learning rates, whose files are called select*.h5.
std::vector<RunRecord> read_all(const std::vector<std::string>& results) {
  std::vector<RunRecord> runs;
  for (const auto& path : results) {
    for (auto& run : read_runs(path)) runs.push_back(std::move(run));
    for (const auto& file : result_files(path))
      if (file.filename().string().starts_with("select")) runs.push_back(read_run(file, false));
  }
  return runs;
}

void require_valid(const Options& o) {
  if (o.results.empty())
    throw InputError(std::string("no RESULTS given, expected folders with runs (see --help)"));
  if (o.out.empty() == o.check.empty())
    throw InputError(std::string("--out DIR or --check FILE is needed, one of the two (see --help)"));
  if (!o.out.empty() && fs::exists(o.out) && !fs::is_empty(o.out))
    throw InputError(
        BadInput{.file = "--out", .found = o.out + ", which is not empty", .expected = "a new folder"});
}

int check(const Options& o) {
  const auto checked = check_values(read_values(o.check), read_all(o.results));
  fmt::print("{}", format_checked(checked));
  int64_t outside = 0;
  for (const auto& value : checked) outside += !value.inside();
  fmt::print("{} of {} values are outside their tolerance\n", outside, checked.size());
  return outside > 0 ? 1 : 0;
}

int make(const Options& o) {
  ArtifactInput input{.runs = read_all(o.results), .claims = {}};
  if (!o.claims.empty()) input.claims = judge_claims(o.claims, {.runs = input.runs, .measured = {}});
  const auto files = artifact_files(input);
  for (const auto& [name, text] : files) {
    const fs::path path = fs::path(o.out) / name;
    fs::create_directories(path.parent_path());
    write_file_atomic(path, text);
    fmt::print("{}\n", path.string());
  }
  fs::permissions(fs::path(o.out) / "check.sh", fs::perms::owner_exec, fs::perm_options::add);
  for (const auto& folder : o.results) {
    if (!fs::is_directory(folder)) continue;
    const auto archive = fs::path(o.out) / "results" /
                         (fs::absolute(folder).lexically_normal().filename().string() + archive_ending);
    fs::create_directories(archive.parent_path());
    write_archive(archive, folder);
    fmt::print("{}\n", archive.string());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "make_artifact",
       .usage = "RESULTS... --out DIR | RESULTS... --check FILE",
       .about = "Writes a folder that a reviewer can check: each claim with its figure, command, expected\n"
                "value, tolerance and minutes; environment, methods, checklist, configs and run files.\n"
                "With --check compares RESULTS with such a folder's expected.jsonl.",
       .example = "make_artifact results/quickstart --out artifact",
       .exits = "0 done, 1 a value is outside its tolerance, 2 bad input"});
  program.positional("results", o.results)
      .option("out", o.out, "DIR", "the folder to write, which must be new or empty")
      .option("check", o.check, "FILE", "instead: compare with this expected.jsonl")
      .option("claims", o.claims, "FILE", "claims to judge, as experiments/claims.yaml");
  return program.run(argc, argv, [&] {
    require_valid(o);
    return o.check.empty() ? make(o) : check(o);
  });
}
