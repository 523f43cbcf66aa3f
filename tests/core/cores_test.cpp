#include "core/cores.h"

#include <algorithm>
#include <thread>

#include "catch.h"
#include "core/files.h"

namespace attnlab {
namespace {

TEST_CASE("a quota of CPU time is so many cores, rounded up") {
  CHECK(cores_of_quota("200000 100000") == 2);
  CHECK(cores_of_quota("150000 100000") == 2);
  CHECK(cores_of_quota("1000 100000") == 1);
  for (const char* none : {"max 100000", "", "200000", "-1 100000", "0 100000", "100000 0", "x y"}) {
    INFO(none);
    CHECK_FALSE(cores_of_quota(none).has_value());
  }
}

TEST_CASE("the tightest limit between a control group and the root holds, in either version") {
  const test::TemporaryFolder root;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root.path() / name).parent_path());
    write_file_atomic(root.path() / name, text);
  };
  CHECK_FALSE(quota_of_group(root.path(), "/a/b").has_value());
  write("a/b/cpu.max", "max 100000\n");
  CHECK_FALSE(quota_of_group(root.path(), "/a/b").has_value());
  write("cpu.max", "800000 100000\n");
  CHECK(quota_of_group(root.path(), "/a/b") == 8);
  write("a/cpu.cfs_quota_us", "300000\n");
  write("a/cpu.cfs_period_us", "100000\n");
  CHECK(quota_of_group(root.path(), "/a/b") == 3);
  CHECK(quota_of_group(root.path(), "/c") == 8);
  write("a/cpu.cfs_quota_us", "-1\n");
  CHECK(quota_of_group(root.path(), "/a/b") == 8);
}

TEST_CASE("at least one core may be used, and no more than there are") {
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= std::max(1U, std::thread::hardware_concurrency()));
}

TEST_CASE("a program that waits for cores more than it runs is told, after some seconds") {
  CHECK_THAT(starvation_note({.running = 4, .waiting = 60}), ContainsSubstring("waited for a core for 1m00s"));
  CHECK(starvation_note({.running = 60, .waiting = 4}).empty());
  CHECK(starvation_note({.running = 1, .waiting = 3}).empty());
  double sum = 0;
  for (int i = 0; i < 20'000'000; ++i) sum += 1.0 / (i + 1);
  REQUIRE(sum > 0);
  const CpuUse use = cpu_use();
  if (use.running == 0) SKIP_TEST("this kernel has no schedstat");
  CHECK(use.running > 0.001);
}

}  // namespace
}  // namespace attnlab
