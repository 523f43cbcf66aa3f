// Ranks as threads of this process, which meet in a store in memory.
#pragma once

#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "ranks/world.h"

namespace attnlab::test {

// Calls `body` with each rank's world; of one rank, with World::alone(). Throws what rank 0 threw, else what
// another one did.
inline void with_ranks(int64_t count, const std::function<void(World&)>& body, WorldOptions options = {}) {
  if (count == 1) return body(World::alone());
  if (!options.on_fault) options.on_fault = [](const std::string&, bool) {};
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::exception_ptr> failures(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int64_t r = 0; r < count; ++r)
    threads.emplace_back([&, r] {
      try {
        World world(
            {.rank = r, .size = count, .local_rank = r}, [&] { return store; }, options);
        body(world);
        world.leave();
      } catch (...) {
        failures[static_cast<size_t>(r)] = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace attnlab::test
