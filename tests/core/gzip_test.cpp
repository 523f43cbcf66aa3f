#include "core/gzip.h"

#include <algorithm>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/random.h"
#include "gzip_file.h"

using namespace attnlab;

namespace {

std::string error_of(const std::filesystem::path& path) {
  try {
    read_text_file(path);
  } catch (const InputError& error) {
    return error.what();
  }
  return "read";
}

// Text that does not compress well, so that its file is long.
std::string long_text() {
  Random random(1);
  std::string text;
  for (int i = 0; i < 300000; ++i) text += static_cast<char>(random.between(32, 126));
  return text;
}

}  // namespace

TEST_CASE("gzipped files are read as their text, members one behind the other") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl.gz";
  const std::string text = long_text();
  test::append_gzip(path, text);
  CHECK(read_text_file(path) == text);
  test::append_gzip(path, "and more\n");
  CHECK(read_text_file(path) == text + "and more\n");
  std::filesystem::rename(path, folder.path() / "a.jsonl");  // the name does not matter
  CHECK(read_text_file(folder.path() / "a.jsonl") == text + "and more\n");
  write_file_atomic(folder.path() / "plain.txt", "plain");
  CHECK(read_text_file(folder.path() / "plain.txt") == "plain");
}

TEST_CASE("what is gzipped is read back, and its bytes are the same each time") {
  const test::TemporaryFolder folder;
  for (const std::string& text : {std::string(), std::string("short"), long_text() + long_text()}) {
    write_file_atomic(folder.path() / "a.gz", gzipped(text));
    CHECK(read_text_file(folder.path() / "a.gz") == text);
    CHECK(gzipped(text) == gzipped(text));
  }
  CHECK(gzipped(long_text()).size() < long_text().size());
}

TEST_CASE("zeros behind a gzip member are padding, and another member may follow them") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl.gz";
  const std::string text = long_text();  // of over 64 KiB, so that the length's last byte is no zero by chance
  test::append_gzip(path, text);
  const std::string member = read_file(path), zeros(512, '\0');
  write_file_atomic(path, member + zeros);
  CHECK(read_text_file(path) == text);
  write_file_atomic(path, member + zeros + member + std::string(1, '\0'));
  CHECK(read_text_file(path) == text + text);
  std::filesystem::remove(path);
  test::append_gzip(path, "");
  CHECK(read_text_file(path).empty());
}

TEST_CASE("a gzip file that is cut off, damaged or something else is refused with its name") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.jsonl.gz";
  test::append_gzip(path, long_text());
  const std::string whole = read_file(path);
  for (const size_t kept : {whole.size() - 1, whole.size() - 9, whole.size() / 2, size_t{12}, size_t{2}}) {
    CAPTURE(kept);
    write_file_atomic(path, whole.substr(0, kept));
    CHECK_THAT(error_of(path),
               ContainsSubstring("a.jsonl.gz: found a file that was cut off, expected a whole gzip file"));
  }
  for (const size_t at : {whole.size() / 2, whole.size() - 6}) {  // the data, and their checksum
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file_atomic(path, damaged);
    CHECK_THAT(error_of(path), ContainsSubstring("a.jsonl.gz: found damaged data"));
  }
  for (const std::string& other : {whole + "{}", whole + std::string(512, '\0') + "{}"}) {
    write_file_atomic(path, other);
    CHECK_THAT(error_of(path),
               ContainsSubstring("found a damaged header, or other data behind the last member"));
  }
  write_file_atomic(path, "{}\n");
  CHECK_THAT(error_of(path), ContainsSubstring("found other data, expected a whole gzip file"));
  write_file_atomic(path, "");
  CHECK_THAT(error_of(path), ContainsSubstring("found an empty file"));
}

TEST_CASE("an extension counts with and without .gz") {
  CHECK(has_text_extension("a/b.jsonl", ".jsonl"));
  CHECK(has_text_extension("b.jsonl.gz", ".jsonl"));
  CHECK_FALSE(has_text_extension("b.txt.gz", ".jsonl"));
  CHECK_FALSE(has_text_extension("jsonl", ".jsonl"));
}

TEST_CASE("real compressed data: HumanEval is read whole") {
  const auto path = test::shared_dir() / "data/humaneval/HumanEval.jsonl.gz";
  if (!std::filesystem::exists(path)) SKIP_TEST("HumanEval is not here");
  const std::string text = read_text_file(path);
  CHECK(std::count(text.begin(), text.end(), '\n') == 164);
}
