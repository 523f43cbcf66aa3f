// scripts/parquet_to_jsonl.py gives what the readers take. Skipped where pyarrow has not been installed.
#include <cstdlib>

#include "catch.h"
#include "core/files.h"
#include "core/gzip.h"
#include "data/dataset.h"

using namespace attnlab;
namespace fs = std::filesystem;

namespace {

// A Python that has pyarrow: the script's own, or the one on the path; empty: none.
std::string python() {
  const char* home = std::getenv("HOME");
  const fs::path usual = fs::path(home ? home : "/") / ".cache/attnlab/pyarrow";
  const fs::path own = test::from_environment("ATTNLAB_PYARROW", usual.c_str()) / "bin/python3";
  for (const std::string& candidate : {own.string(), std::string("python3")})
    if (std::system(("'" + candidate + "' -c 'import pyarrow' 2> /dev/null").c_str()) == 0) return candidate;
  return "";
}

int run(const std::string& command) { return std::system((command + " 2> /dev/null").c_str()); }

}  // namespace

TEST_CASE("Parquet with messages becomes the JSONL that chats are read from") {
  const std::string interpreter = python();
  if (interpreter.empty()) SKIP_TEST("no Python with pyarrow");
  const test::TemporaryFolder folder;
  const auto script = folder.path() / "make.py";
  write_file_atomic(script, R"(
import sys, pyarrow, pyarrow.parquet
rows = [[{"role": "user", "content": "Hé %d" % i}, {"role": "assistant", "content": "A"}] for i in range(1500)]
for part in 0, 1:
    table = pyarrow.table({"talk": rows[part * 750:][:750], "n": list(range(750))})
    pyarrow.parquet.write_table(table, "%s/part%d.parquet" % (sys.argv[1], part))
)");
  const std::string name = folder.path().string();
  REQUIRE(run("'" + interpreter + "' '" + script.string() + "' '" + name + "'") == 0);
  const auto convert = [&](const std::string& options) {
    return run("'" + interpreter + "' '" + (test::source_dir() / "scripts/parquet_to_jsonl.py").string() +
               "' '" + name + "' " + options);
  };
  REQUIRE(convert("--columns talk --rename talk=messages --out '" + name + "/out.jsonl.gz'") == 0);
  const auto data = open_dataset(
      {.kind = DataKind::chat_jsonl, .path = name + "/out.jsonl.gz", .heldout_share = 0}, Split::train);
  REQUIRE(data->size() == 1500);
  CHECK(data->get(1499).prompt == "<|im_start|>user\nHé 1499<|im_end|>\n<|im_start|>assistant\n");
  REQUIRE(convert("--columns n --rows 751 --out '" + name + "/n.jsonl'") == 0);
  CHECK(read_text_file(name + "/n.jsonl").ends_with("{\"n\": 749}\n{\"n\": 0}\n"));
  CHECK(convert("--columns m --out '" + name + "/m.jsonl'") != 0);  // no such column: nothing is written
  CHECK_FALSE(fs::exists(name + "/m.jsonl"));
  CHECK_FALSE(fs::exists(name + "/m.jsonl.tmp"));
}
