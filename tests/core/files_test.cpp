#include "core/files.h"

#include <sys/wait.h>
#include <unistd.h>

#include "catch.h"
#include "core/errors.h"

using namespace attnlab;
namespace fs = std::filesystem;

TEST_CASE("SHA-256 gives the published test vector") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("an atomic write leaves no temporary file and can be read back and hashed") {
  test::TemporaryFolder folder;
  const auto path = folder.path() / "sub" / "a.txt";
  write_file_atomic(path, "abc");
  CHECK(read_file(path) == "abc");
  CHECK(sha256_file(path) == sha256("abc"));
  CHECK_FALSE(fs::exists(path.string() + ".tmp"));
}

TEST_CASE("a tree's hash depends on names and contents") {
  test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "a", "1");
  const auto before = sha256_tree(folder.path());
  write_file_atomic(folder.path() / "b", "1");
  CHECK(sha256_tree(folder.path()) != before);
}

TEST_CASE("reading what is not there names the path") {
  CHECK_THROWS_WITH(read_file("/no/such/file"), ContainsSubstring("/no/such/file"));
  CHECK_THROWS_AS(read_file("/"), InputError);
}

TEST_CASE("a lock held by another process is refused and freed when that process dies") {
  test::TemporaryFolder folder;
  const auto path = folder.path() / "run.lock";
  int ready[2], done[2];
  REQUIRE(pipe(ready) == 0);
  REQUIRE(pipe(done) == 0);
  const pid_t child = fork();
  if (child == 0) {
    FileLock lock(path);
    char byte = lock.try_lock() ? 'y' : 'n';
    (void)!write(ready[1], &byte, 1);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(byte == 'y');
  FileLock lock(path);
  CHECK_FALSE(lock.try_lock());
  REQUIRE(write(done[1], "x", 1) == 1);
  waitpid(child, nullptr, 0);
  CHECK(lock.try_lock());
}
