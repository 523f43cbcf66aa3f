// Codes as they lie: decoded in blocks, and lengthened where they stand.
#include <algorithm>

#include "stored_tokens.h"

namespace attnlab::test {
namespace {

// 512 tokens are decoded at a time on a CPU.
TEST_CASE("codes that are decoded in several blocks are what each block's tokens are by themselves") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    constexpr int64_t n = 1240, block = 512;
    const auto tokens = SlotTokens::random(layout, 2, n, 16);
    const auto read = [&](int64_t from, int64_t count) {
      const auto storage =
          stored(config, layout).storage->make({layout[0], 2, count, torch::kFloat32, 0, false});
      storage->append(tokens.slots_BTW[0].narrow(1, from, count));
      storage->settle({});
      return storage->read();
    };
    const auto all = read(0, n);
    // But for the oldest and newest tokens, some of which stay as they came.
    for (int64_t from = 0; from < n; from += block) {
      const int64_t count = std::min(block, n - from);
      CHECK(torch::equal(all.narrow(1, from + 16, count - 48), read(from, count).narrow(1, 16, count - 48)));
    }
  });
}

TEST_CASE("new codes are written behind those that are held, and copies of a storage don't see each other's") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    if (config.name == CacheStorageName::dense) return;
    const auto tokens = SlotTokens::random(layout, 2, 60, 14), others = SlotTokens::random(layout, 2, 60, 15);
    const auto make = [&] {
      return stored(config, layout).storage->make({layout[0], 2, 60, torch::kFloat32, 0, false});
    };
    const auto append = [](TokenStorage& to, const SlotTokens& from, int64_t begin, int64_t end, int64_t step) {
      for (int64_t t = begin; t < end; t += step)
        to.append(from.slots_BTW[0].narrow(1, t, step)), to.settle({});
    };
    const auto storage = make(), alone = make();
    for (auto* each : {storage.get(), alone.get()})
      append(*each, tokens, 0, 20, 20), append(*each, tokens, 20, 24, 1);
    const auto copy = storage->clone();
    append(*storage, tokens, 24, 40, 1), append(*copy, others, 24, 40, 1), append(*alone, tokens, 24, 40, 1);
    CHECK(torch::equal(storage->read(), alone->read()));
    CHECK(torch::equal(copy->read().narrow(1, 0, 20), alone->read().narrow(1, 0, 20)));
    CHECK_FALSE(torch::equal(copy->read(), alone->read()));
    if (config.name != CacheStorageName::int8) return;
    const auto* before = storage->parts()[0].const_data_ptr();
    append(*storage, tokens, 40, 56, 1);
    CHECK(storage->parts()[0].const_data_ptr() == before);
  });
}

}  // namespace
}  // namespace attnlab::test
