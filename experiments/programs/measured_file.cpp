#include "measured_file.h"

#include <fmt/format.h>

#include "experiment/inputs/provenance.h"

namespace attnlab {
namespace fs = std::filesystem;

void require_measured_name(const std::string& out) {
  const std::string expected = fmt::format("a file to write, NAME{}", measurements_ending);
  require_given("--out", out, expected);
  if (!out.ends_with(measurements_ending))
    throw InputError(BadInput{.file = "--out", .found = "'" + out + "'", .expected = expected});
  if (fs::is_directory(out))
    throw InputError(BadInput{.file = "--out", .found = "the folder " + out, .expected = expected});
  for (fs::path folder = fs::absolute(out).parent_path(); !folder.empty(); folder = folder.parent_path()) {
    if (fs::is_directory(folder)) return;
    if (fs::exists(folder))
      throw InputError(BadInput{.file = "--out",
                                .found = "'" + out + "'",
                                .expected = "a file in a folder; " + folder.string() + " is none"});
  }
}

void add_rows_options(Program& program, std::string& out, bool& resume) {
  program
      .option("out", out, "FILE",
              fmt::format("keep the rows, too, in NAME{}; a file that is there keeps its other rows",
                          measurements_ending))
      .flag("resume", resume, "leave out what --out holds already");
}

void require_rows_options(const std::string& out, bool resume) {
  if (resume) require_given("--out", out, "the file that --resume goes on with");
  if (!out.empty()) require_measured_name(out);
}

FlatFields measured_facts(int argc, char** argv, torch::Device device) {
  std::string command = fs::path(argv[0]).filename().string();
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  FlatFields facts{{"command", command}};
  for (auto& fact : machine_facts(device)) facts.push_back(std::move(fact));
  return facts;
}

}  // namespace attnlab
