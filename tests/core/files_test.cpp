#include "core/files.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

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

TEST_CASE("a lock says who holds it, and the next holder replaces that") {
  test::TemporaryFolder folder;
  const auto path = folder.path() / "sub" / "run.lock";
  write_file_atomic(path, "a longer text than the one that will be written, of a host long gone, process 1\n");
  FileLock lock(path);
  REQUIRE(lock.try_lock());
  char host[256] = {};
  REQUIRE(gethostname(host, sizeof host - 1) == 0);
  CHECK(lock.holder() == std::string(host) + ", process " + std::to_string(getpid()));
}

namespace {

// From now on flock fails in this process, as on a file system that has no locks.
bool forbid_flock() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_flock, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = 4, .filter = code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("a file system without locks is an error, not a lock that another process holds") {
  test::TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    if (!forbid_flock()) _exit(3);
    FileLock lock(folder.path() / "run.lock");
    try {
      _exit(lock.try_lock() ? 1 : 2);
    } catch (const RunError& error) {
      const std::string text = error.what();
      _exit(text.find("does not lock files: No locks available") != std::string::npos ? 0 : 4);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3) SKIP_TEST("this process may not filter its own system calls");
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a folder that cannot be made is named with the system's reason") {
  test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "file", "x");
  const auto path = folder.path() / "file" / "sub" / "a.txt";
  CHECK_THROWS_WITH(write_file_atomic(path, "y"),
                    ContainsSubstring(path.string()) && ContainsSubstring("Not a directory"));
  CHECK_THROWS_AS(FileLock(path), RunError);
}
