// The pieces below the sandbox.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catch.h"
#include "sandbox/launch.h"
#include "sandbox/messages.h"
#include "sandbox/tree_usage.h"

namespace attnlab::test {
namespace {

Clock::time_point soon() { return Clock::now() + std::chrono::milliseconds(300); }

TEST_CASE("messages arrive whole, with their descriptor") {
  auto [a, b] = make_sockets();
  auto [reader, writer] = make_pipe();
  const Parts parts{"judge", "", std::string("\0\xff", 2), std::string(100000, 'x')};
  REQUIRE(send_parts(a.get(), parts));
  CHECK(receive_parts(b.get(), soon(), 1 << 20) == parts);
  REQUIRE(send_parts(a.get(), {}, writer.get()));
  CHECK(receive_parts(b.get(), soon(), 1 << 20) == Parts{});
}

TEST_CASE("messages that are too long, cut off, malformed or late give nothing") {
  const auto received = [](const std::string& bytes, bool hang_up) {
    auto [a, b] = make_sockets();
    REQUIRE(send(a.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    if (hang_up) a.reset();
    return receive_parts(b.get(), soon(), 100);
  };
  const std::string zeros(3, '\0');
  CHECK(received("\x04" + zeros + zeros + '\0', false) == Parts{});
  CHECK_FALSE(received("\x65" + zeros + std::string(101, '\0'), false));           // over the cap
  CHECK_FALSE(received("\x08" + zeros + zeros, true));                             // cut off
  CHECK_FALSE(received("\x08" + zeros + zeros, false));                            // late
  CHECK_FALSE(received("\x08" + zeros + "\x01" + zeros + "\x05" + zeros, false));  // a part past the end
  CHECK_FALSE(received("\x04" + zeros + "\xff\xff\xff\xff", false));               // parts past the end
  CHECK_FALSE(received("", true));
}

TEST_CASE("sending to someone who is gone is noticed") {
  auto [a, b] = make_sockets();
  b.reset();
  CHECK_FALSE(send_parts(a.get(), {"x"}));
}

TEST_CASE("what is not UTF-8 becomes question marks, and characters are not cut") {
  CHECK(valid_utf8("h\u00e9\u20ac\U0001F600", 100) == "h\u00e9\u20ac\U0001F600");
  CHECK(valid_utf8("a\xff\xc3", 100) == "a??");
  CHECK(valid_utf8("\xed\xa0\x80", 100) == "???");  // a surrogate
  CHECK(valid_utf8("\xc0\x80\xf4\x90\x80\x80", 100) == "??????");
  CHECK(valid_utf8("a\u00e9", 2) == "a");
}

TEST_CASE("a process and its children count together") {
  const pid_t pid = launch({.command = {"/bin/sh", "-c", "sleep 20 & sleep 20 & wait"}, .descriptors = {}});
  TreeUsage usage;
  for (int i = 0; i < 100 && usage.threads < 3; ++i) {
    usleep(20000);
    usage = tree_usage(pid);
  }
  CHECK(usage.threads == 3);
  CHECK(usage.resident_bytes > 0);
  kill(-pid, SIGKILL);  // a session of its own
  waitpid(pid, nullptr, 0);
  CHECK(tree_usage(pid).threads == 0);
}

TEST_CASE("a launched program gets its descriptors and no others, no environment, and its limits") {
  setenv("ATTNLAB_SECRET", "x", 1);
  const auto [reader, writer] = make_pipe();
  const int leaked = dup(reader.get());  // open across exec
  const Finished finished =
      run_to_end({.command = {"/bin/sh", "-c", "env; ls /proc/self/fd | wc -l; ulimit -n"},
                  .descriptors = {},
                  .limits = {{RLIMIT_NOFILE, 77}}},
                 10);
  close(leaked);
  CHECK(finished.status == 0);
  CHECK(finished.output.find("ATTNLAB_SECRET") == std::string::npos);
  CHECK_THAT(finished.output, ContainsSubstring("\n4\n77\n"));  // 0, 1, 2 and ls's own
}

TEST_CASE("a program that does not end is killed") {
  const auto start = Clock::now();
  const Finished finished = run_to_end({.command = {"/bin/sleep", "30"}, .descriptors = {}}, 0.2);
  CHECK(WIFSIGNALED(finished.status));
  CHECK(Clock::now() - start < std::chrono::seconds(10));
}

}  // namespace
}  // namespace attnlab::test
