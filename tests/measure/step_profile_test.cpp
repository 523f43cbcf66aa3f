#include "measure/step_profile.h"

#include <stdexcept>

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("a kernel's name becomes one short line") {
  CHECK(short_kernel_name("aten::mm") == "aten::mm");
  CHECK(short_kernel_name("void at::native::fill<4, (bool)1>(int, void (*)(float))") ==
        "at::native::fill<4, (bool)1>");
  CHECK(short_kernel_name("(anonymous namespace)::norm(float*)") == "(anonymous namespace)::norm");
  CHECK(short_kernel_name("Memset (Device)") == "Memset (Device)");
  CHECK(short_kernel_name("Memcpy HtoD (Pinned -> Device)") == "Memcpy HtoD (Pinned -> Device)");
  CHECK(short_kernel_name("a|b\nc`d") == "a b c d");
  CHECK(short_kernel_name(std::string(100, 'k')) == std::string(100, 'k'));
  CHECK(short_kernel_name(std::string(101, 'k')) == std::string(99, 'k') + "…");
  CHECK(short_kernel_name("") == "");
}

TEST_CASE("the time of an operator is what none inside it on its thread took") {
  // outer: 100 µs around 30 and 20, of which the first has 10 inside; beside it another thread.
  const std::vector<ProfiledSpan> spans{{"inner", 1, 10'000, 40'000},   {"outer", 1, 0, 100'000},
                                        {"leaf", 1, 10'000, 20'000},    {"inner", 1, 40'000, 60'000},
                                        {"outer", 1, 100'000, 105'000}, {"leaf", 2, 20'000, 61'000}};
  const auto rows = profile_rows(spans, true);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].name == "outer");
  CHECK(rows[0].calls == 2);
  CHECK(rows[0].microseconds == 55);
  CHECK(rows[1].name == "leaf");
  CHECK(rows[1].calls == 2);
  CHECK(rows[1].microseconds == 51);
  CHECK(rows[2].microseconds == 40);

  const auto whole = profile_rows(spans, false);
  CHECK(whole[0].microseconds == 105);
  CHECK(whole[1].microseconds == 51);
  CHECK(whole[2].microseconds == 50);
}

TEST_CASE("a profile's table has the rows asked for, and the sum of all") {
  const auto text = profile_table({{"b", 3, 75}, {"a", 1, 25}}, 1, torch::kCUDA, 120);
  CHECK(text ==
        "| kernel | calls | µs | share |\n|---|---:|---:|---:|\n| `b` | 3 | 75.0 | 75.0 % |\n"
        "\nall 2 kernels: 4 launches, 100.0 µs; the step: 120.0 µs under the profiler\n");
  CHECK_THAT(profile_table({}, 1, torch::kCUDA, 120), ContainsSubstring("nothing on the device"));
}

TEST_CASE("a step that fails leaves no profiler behind") {
  const auto a = torch::ones({8, 8});
  CHECK_THROWS(profiled_step(torch::kCPU, 3, [] { throw std::runtime_error("step"); }));
  int calls = 0;
  const auto text = profiled_step(torch::kCPU, 3, [&] {
    ++calls;
    torch::mm(a, a);
  });
  CHECK(calls == 1);
  CHECK_THAT(text, ContainsSubstring("| `aten::mm` | 1 |"));
  CHECK(profiled_step(torch::kCPU, 0, [&] { ++calls; }).empty());
  CHECK(calls == 1);
}

}  // namespace
}  // namespace attnlab
