#include "ranks/world.h"

#include <atomic>
#include <mutex>
#include <set>

#include "catch.h"
#include "core/errors.h"
#include "core/interrupt.h"
#include "ranks/monitor.h"
#include "with_ranks.h"

namespace attnlab {
namespace {

using test::with_ranks;

// Numbers whose sum depends on the order in which they are added.
torch::Tensor numbers_of(int64_t rank, int64_t count, torch::ScalarType type) {
  const auto waves = torch::arange(count, torch::kFloat64).add(7 * rank).sin();
  return (waves * std::pow(1e3, static_cast<double>(rank % 3))).to(type);
}

torch::Tensor ordered_sum(int64_t ranks, int64_t count, torch::ScalarType type) {
  auto sum = numbers_of(0, count, type);
  for (int64_t r = 1; r < ranks; ++r) sum.add_(numbers_of(r, count, type));
  return sum;
}

TEST_CASE("between CPUs sums have the bits of adding in the order of ranks") {
  for (const int64_t ranks : {1, 2, 4})
    for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kBFloat16})
      with_ranks(ranks, [&](World& world) {
        const int64_t count = 12 * ranks;
        const auto expected = ordered_sum(ranks, count, type);
        auto whole = numbers_of(world.rank(), count, type);
        world.sum(whole)->wait();
        CHECK(torch::equal(whole, expected));
        auto own = torch::empty({12}, type);
        world.sum_slice(own, numbers_of(world.rank(), count, type))->wait();
        CHECK(torch::equal(own, expected.narrow(0, 12 * world.rank(), 12)));
        auto gathered = torch::zeros({count}, type);
        world.gather(gathered, own)->wait();
        CHECK(torch::equal(gathered, expected));
        CHECK(torch::equal(world.sum_small(numbers_of(world.rank(), 5, type)), ordered_sum(ranks, 5, type)));
      });
}

TEST_CASE("several sums may be under way") {
  with_ranks(2, [&](World& world) {
    std::vector<torch::Tensor> tensors;
    std::vector<PendingHandle> pending;
    for (int64_t i = 0; i < 5; ++i) {
      tensors.push_back(numbers_of(world.rank() + i, 8, torch::kFloat64));
      pending.push_back(world.sum(tensors.back()));
    }
    for (int64_t i = 0; i < 5; ++i) {
      pending[static_cast<size_t>(i)]->wait();
      CHECK(torch::equal(tensors[static_cast<size_t>(i)],
                         numbers_of(i, 8, torch::kFloat64) + numbers_of(1 + i, 8, torch::kFloat64)));
    }
  });
}

TEST_CASE("rank 0's values reach all, also into tensors that are no one piece") {
  with_ranks(2, [&](World& world) {
    auto matrix = torch::full({3, 4}, static_cast<double>(world.rank()));
    world.share(matrix.t());
    CHECK(torch::equal(matrix, torch::zeros({3, 4})));
  });
}

TEST_CASE("what rank 0 says or throws, all get") {
  with_ranks(3, [&](World& world) {
    CHECK(world.first_says([&] { return "from " + std::to_string(world.rank()); }) == "from 0");
    CHECK_THROWS_AS(world.first_does([] { throw InputError("bad key"); }), InputError);
    CHECK_THROWS_WITH(world.first_does([] { throw RunError("disk full"); }), "disk full");
    CHECK_THROWS_AS(world.first_does([] { throw Interrupted{}; }), Interrupted);
    CHECK(world.all_say("r" + std::to_string(world.rank())) == std::vector<std::string>{"r0", "r1", "r2"});
  });
}

TEST_CASE("ranks that differ, or share what each must have, are refused by all") {
  std::atomic<int> refused = 0;
  with_ranks(2, [&](World& world) {
    world.require_same("data", "1234");
    world.require_distinct("GPU", "");
    try {
      world.require_same("data", world.rank() == 0 ? "1234" : "5678");
    } catch (const InputError& error) {
      CHECK_THAT(error.what(),
                 ContainsSubstring("data: found 5678 at rank 1 (") && ContainsSubstring("as at rank 0"));
      ++refused;
    }
    CHECK_THROWS_WITH(world.require_distinct("GPU", "node1 a0"),
                      ContainsSubstring("node1 a0 at rank 0 and rank 1"));
  });
  CHECK(refused == 2);
}

TEST_CASE("a failure that all have ends nobody, one that a rank has alone names it") {
  std::mutex mutex;
  std::set<std::string> told;
  WorldOptions options{.on_fault = [&](const std::string& line, bool tell) {
    const std::lock_guard lock(mutex);
    if (tell) told.insert(line);
  }};
  options.silence = std::chrono::milliseconds(400);
  options.beat = std::chrono::milliseconds(50);
  with_ranks(
      2,
      [&](World& world) {
        world.settle("all have it");
        CHECK(told.empty());
        if (world.rank() == 1) CHECK_THROWS_AS(world.settle("no memory"), RunError);
      },
      options);
  CHECK(told == std::set<std::string>{"rank 1 (" + host_name() + "): no memory"});
}

TEST_CASE("a rank without signs of life is lost, one that makes no progress while others wait has hung") {
  std::mutex mutex;
  std::vector<std::string> lines;
  WorldOptions options{.on_fault = [&](const std::string& line, bool tell) {
    const std::lock_guard lock(mutex);
    if (tell) lines.push_back(line);
  }};
  options.beat = std::chrono::milliseconds(20);
  options.silence = std::chrono::milliseconds(200);
  options.deadline = std::chrono::milliseconds(200);
  const auto wait_for_line = [&] {
    for (int i = 0; i < 250; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const std::lock_guard lock(mutex);
      if (!lines.empty()) break;
    }
    const std::lock_guard lock(mutex);
    return lines.empty() ? std::string() : lines[0];
  };
  const std::vector<std::string> hosts{"a", "b"};
  {
    const Monitor first({.rank = 0, .size = 2}, hosts, c10::make_intrusive<c10d::HashStore>(), options);
    CHECK(wait_for_line() == "rank 1 (b): no sign of life for 0 s");
  }
  lines.clear();
  options.silence = std::chrono::seconds(60);
  const auto store = c10::make_intrusive<c10d::HashStore>();
  Monitor first({.rank = 0, .size = 2}, hosts, store, options);
  const Monitor second({.rank = 1, .size = 2}, hosts, store, options);
  first.waiting = 1;
  CHECK(wait_for_line() == "rank 1 (b): no progress for 0 s, and others wait for it");
}

}  // namespace
}  // namespace attnlab
