#include "kernels/parallel.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("a loop in parallel goes over every number once, in parts of at least the grain") {
  const int before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    for (const int64_t n : {0, 1, 5, 64, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      std::atomic<int> small = 0;
      in_parallel(n, 7, [&](int64_t begin, int64_t end) {
        if (end - begin < 7 && end < n) ++small;
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const auto& times : seen) CHECK(times == 1);
      CHECK(small == 0);
    }
  }
  at::set_num_threads(before);
}

TEST_CASE("a loop in parallel has as many threads as torch's operations") {
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  std::mutex lock;
  std::set<std::thread::id> threads;
  in_parallel(3, 1, [&](int64_t, int64_t) {
    const std::scoped_lock own(lock);
    threads.insert(std::this_thread::get_id());
  });
  CHECK(threads.size() == 3);
  at::set_num_threads(before);
}

}  // namespace
}  // namespace attnlab
