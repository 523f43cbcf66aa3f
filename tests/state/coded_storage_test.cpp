// Codes as they lie: as a kernel reads them, decoded in blocks, and lengthened where they stand.
#include <algorithm>

#include "reference/coded_latent_twin.h"
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

// What a latent's codes say is what is read, where rows have tokens.
bool codes_say_what_is_read(const LayerState& state) {
  const auto coded = state.coded(0);
  if (!coded) return false;
  const auto read_BSW = state.storage(0).read();
  const int64_t S = read_BSW.size(1);
  if (S != state.storage(0).shown()) return false;
  auto expected = read_BSW.clone();
  if (coded->gaps_B.defined()) {
    const auto none_BS = torch::arange(S).unsqueeze(0) < coded->gaps_B.unsqueeze(1);
    expected.masked_fill_(none_BS.unsqueeze(2), 0);
  }
  return torch::equal(decoded_twin(*coded, S), expected);
}

std::vector<StorageConfig> read_as_codes() {
  std::vector<StorageConfig> all{stored_as(CacheStorageName::int8), stored_as(CacheStorageName::int8, 2),
                                 stored_as(CacheStorageName::fp8), stored_as(CacheStorageName::fp8, 4)};
  all.push_back(stored_as(CacheStorageName::fp8));
  all.back().fp8_scales = Fp8Scales::power_of_two;
  return all;
}

TEST_CASE("a latent is read as codes: rows of any length, that leave and enter, under windows and marks") {
  for (const auto& config : read_as_codes())
    for (const int64_t window : {0, 9}) {
      INFO(label(config) << ", window " << window);
      const auto tokens = SlotTokens::random(kLatent, 3, 40, 12);
      const auto padding_B1 = torch::tensor(std::vector<int64_t>{0, 7, 2}).unsqueeze(1);
      LayerState state(kLatent, 3, 40, torch::kBFloat16, window, stored(config, kLatent));
      state.remember(0, tokens.slots_BTW[0].narrow(1, 0, 5));
      CHECK_FALSE(state.coded(0));  // a prompt is read as it is
      state.settle(Sequence({.begin = 0, .T = 5, .padding_B1 = padding_B1, .to_come = 15}));
      remember(state, tokens, {5, 15, false, padding_B1});
      for (int64_t t = 20; t < 26; ++t) {
        remember(state, tokens, {t, 1, false, padding_B1});
        CHECK(codes_say_what_is_read(state));
      }
      state.select_rows(torch::tensor(std::vector<int64_t>{1, 2}));  // both shorter than the batch is wide
      CHECK(codes_say_what_is_read(state));
      auto both = LayerState::joined(state, state, 30, 40);
      CHECK(codes_say_what_is_read(both));
      if (window > 0) continue;
      both.rewind(28);
      CHECK(codes_say_what_is_read(both));
    }
}

TEST_CASE("what no kernel reads as codes is not given as such") {
  const auto coded = [](const StorageConfig& config, torch::ScalarType type, const StateLayout& layout) {
    const auto tokens = SlotTokens::random(layout, 2, 12, 13);
    LayerState state(layout, 2, 12, type, 0, stored(config, layout));
    prompt_and_steps(state, tokens, 10, 2);
    return state.coded(0).has_value();
  };
  CHECK(coded(stored_as(CacheStorageName::fp8), torch::kBFloat16, kLatent));
  CHECK_FALSE(coded(stored_as(CacheStorageName::fp8), torch::kFloat32, kLatent));  // no bfloat16 in a record
  CHECK_FALSE(coded(stored_as(CacheStorageName::int4), torch::kBFloat16, kLatent));
  CHECK_FALSE(coded(stored_as(CacheStorageName::kivi, 2), torch::kBFloat16, kLatent));
  CHECK_FALSE(coded(stored_as(CacheStorageName::dense), torch::kBFloat16, kLatent));
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
