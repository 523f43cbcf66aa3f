// scripts/fetch_data.sh with a curl that connects to nothing.
#include "run_program.h"

namespace attnlab {
namespace {

class Fetcher {
 public:
  Fetcher() {
    // Writes "1" for what is named valid*, nothing that the table expects for GSM8K, and fails for all else.
    const auto curl = folder_.path() / "curl";
    write_file_atomic(curl,
                      "#!/bin/sh\n"
                      "for last; do :; done\n"
                      "while [ \"$1\" != --output ]; do shift; done\n"
                      "case $last in *valid*|*grade_school*) echo 1 > \"$2\" ;; *) exit 22 ;; esac\n");
    std::filesystem::permissions(curl, std::filesystem::perms::owner_all);
  }
  int run(const std::string& arguments) {
    const std::string command = "PATH=" + folder_.path().string() + ":$PATH " +
                                (test::source_dir() / "scripts/fetch_data.sh").string() + " " + arguments +
                                " 2> " + (folder_.path() / "err").string();
    return WEXITSTATUS(std::system(command.c_str()));
  }
  std::string err() const { return read_file(folder_.path() / "err"); }
  std::string data() const { return (folder_.path() / "data").string(); }

 private:
  test::TemporaryFolder folder_;
};

TEST_CASE("data without a recorded sum are fetched once and their sum is printed") {
  Fetcher fetcher;
  CHECK(fetcher.run("--only piqa " + fetcher.data()) == 0);
  CHECK_THAT(fetcher.err(), ContainsSubstring("none is recorded"));
  CHECK(read_file(fetcher.data() + "/piqa/valid-labels.lst") == "1\n");
  CHECK(fetcher.run("--only piqa " + fetcher.data()) == 0);
  CHECK_THAT(fetcher.err(), ContainsSubstring("valid.jsonl is there"));
}

TEST_CASE("data with another sum than the recorded one are not kept") {
  Fetcher fetcher;
  CHECK(fetcher.run("--only gsm8k " + fetcher.data()) == 1);
  CHECK_THAT(fetcher.err(), ContainsSubstring("expected 17f347dc51477c50"));
  CHECK(std::filesystem::is_empty(fetcher.data() + "/gsm8k"));
  std::filesystem::create_directories(fetcher.data() + "/gsm8k");
  write_file_atomic(fetcher.data() + "/gsm8k/train.jsonl", "mine");  // what is there is checked, too
  CHECK(fetcher.run("--only gsm8k " + fetcher.data()) == 1);
  CHECK(read_file(fetcher.data() + "/gsm8k/train.jsonl") == "mine");
}

TEST_CASE("data that cannot be had are named, and bad arguments are refused") {
  Fetcher fetcher;
  CHECK(fetcher.run("--only mmlu " + fetcher.data()) == 1);
  CHECK_THAT(fetcher.err(), ContainsSubstring("mmlu/test.jsonl: not fetched from https://"));
  CHECK(fetcher.run("--only gms8k " + fetcher.data()) == 2);
  CHECK_THAT(fetcher.err(), ContainsSubstring("no data set 'gms8k'; there are: arc_challenge"));
  CHECK(fetcher.run("") == 2);
  CHECK(fetcher.run("a b") == 2);
  CHECK(fetcher.run("--all a") == 2);
  CHECK(fetcher.run("--only") == 2);
}

}  // namespace
}  // namespace attnlab
