// A limit on the size of files (ulimit -f) is as a full disk: one line, exit code 1, nothing half written.
#include <algorithm>

#include "run_program.h"

namespace attnlab::test {
namespace {

// `blocks`: of 512 bytes, as POSIX has it.
Ran run_limited(int blocks, const std::string& command) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out", err = folder.path() / "err";
  const std::string limited =
      "ulimit -f " + std::to_string(blocks) + "; exec " + bin_dir().string() + "/" + command;
  const int status =
      std::system(("/bin/sh -c '" + limited + "' >" + out.string() + " 2>" + err.string()).c_str());
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = read_file(out),
          .err = read_file(err)};
}

void check_too_large(const Ran& outcome) {
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, ContainsSubstring("File too large"));
}

TEST_CASE("a program whose output is above the limit on files says so and leaves nothing") {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "{\"text\": \"some words of a line\"}\n";
  write_file_atomic(folder.path() / "in.jsonl", lines);
  const std::string out = (folder.path() / "out.jsonl").string();
  const std::string command = "tokenize_text --tokenizer " + base() + " --in " +
                              (folder.path() / "in.jsonl").string() + " --out " + out;
  const Ran limited = run_limited(4, command);
  check_too_large(limited);
  CHECK(std::count(limited.err.begin(), limited.err.end(), '\n') == 1);
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK_FALSE(std::filesystem::exists(out + ".tmp"));
  CHECK(run_program(command).code == 0);
}

TEST_CASE("a run that meets the limit on files ends with exit code 1 and goes on without it") {
  const TemporaryFolder folder;
  const auto config = folder.path() / "exp.yaml";
  write_file_atomic(config,
                    "base: {path: " + base() +
                        "}\narms:\n  - {name: gqa, variant: gqa}\nseeds: [0]\ndata: {size: 64, heldout_size: "
                        "8}\ntrain: {steps: 6, batch_size: 2, sequence_length: 64}\n"
                        "eval: {every: 2, problems: 0}\ndevice: cpu\n");
  const std::string results = (folder.path() / "results").string();
  const std::string command = "run_ablation --config " + config.string() + " --out " + results;
  check_too_large(run_limited(16, command));
  const Ran again = run_program(command);
  INFO(again.err);
  CHECK(again.code == 0);
}

}  // namespace
}  // namespace attnlab::test
