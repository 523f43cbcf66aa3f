// What all storages have in common: a state that codes tokens does with rows, marks and policies what one does
// that does not.
#include "aborts.h"
#include "catch.h"
#include "every_second.h"
#include "state/storage_forms.h"
#include "stored_tokens.h"

namespace attnlab::test {
namespace {

TEST_CASE("reported bytes are those that the tensors take, at any length") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    if (config.name == CacheStorageName::kvquant) return;  // has as many outliers as the numbers say
    CacheConfig cache{.storage = config};
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const int64_t length : {1, 5, 7, 8, 9, 31, 64, 101}) {
        LayerState state(layout, 1, length, dtype, 0, stored(config, layout));
        remember(state, SlotTokens::random(layout, 1, length, 1), {0, length});
        const int64_t element = dtype == torch::kFloat32 ? 4 : 2;
        CHECK(static_cast<double>(state.bytes()) ==
              state_bytes(cache, {.layout = layout, .element_bytes = element}, length));
      }
  });
}

TEST_CASE("KVQuant's bytes are those of its codes, ranges and as many outliers as there are") {
  const auto config = all_storages().back();
  REQUIRE(config.name == CacheStorageName::kvquant);
  LayerState state(kCodedKeysAndValues, 1, 200, torch::kFloat32, 0, stored(config, kCodedKeysAndValues));
  const auto tokens = SlotTokens::random(kCodedKeysAndValues, 1, 200, 9);
  remember(state, tokens, {0, 200});
  // The first token as it came, the others in 3 bits of 16 numbers each.
  const int64_t coded = 199,
                k_outliers = (tokens.slots_BTW[0].narrow(1, 1, coded).abs() > 1.6).sum().item<int64_t>();
  const int64_t v_outliers = coded * 2;  // of 16 numbers one at either end
  CHECK(state.bytes() == 2 * 16 * 4 + coded * (2 * 6 + 2 * 4 + 2 * 2) + (k_outliers + v_outliers) * (4 + 2));
  const double expected =
      state_bytes({.storage = config}, {.layout = kCodedKeysAndValues, .element_bytes = 4}, 200);
  CHECK(expected < static_cast<double>(state.bytes()));  // of a config alone no share of outliers is known
}

TEST_CASE("a prompt sees its tokens as they are, whole or in pieces, and what stays is the same") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    const auto tokens = SlotTokens::random(layout, 2, 30, 2);
    LayerState whole(layout, 2, 30, torch::kFloat32, 0, stored(config, layout));
    LayerState pieces(layout, 2, 30, torch::kFloat32, 0, stored(config, layout));
    const auto seen = remember(whole, tokens, {0, 27});
    CHECK(torch::equal(seen[0], tokens.slots_BTW[0].narrow(1, 0, 27)));
    remember(pieces, tokens, {0, 10, true});
    remember(pieces, tokens, {10, 9, true});
    CHECK(same(remember(pieces, tokens, {19, 8}), seen));
    CHECK(pieces.bytes() == whole.bytes());
    for (int64_t t = 27; t < 30; ++t)
      CHECK(same(remember(whole, tokens, {t, 1}), remember(pieces, tokens, {t, 1})));
  });
}

TEST_CASE("what is read back is near what came, and something was coded") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    const auto tokens = SlotTokens::random(layout, 1, 40, 3);
    LayerState state(layout, 1, 40, torch::kFloat32, 0, stored(config, layout));
    const auto seen = prompt_and_steps(state, tokens, 29, 11);
    for (size_t i = 0; i < seen.size(); ++i) {
      const auto error = (seen[i] - tokens.slots_BTW[i]).abs();
      // Normal numbers lie within ±4: half a step of four levels between.
      CHECK(error.max().item<double>() < 8.0 / 3 / 2);
      CHECK((error.max().item<double>() > 0) == (config.name != CacheStorageName::dense));
      if (layout[i].rotary_apart)
        CHECK(error.narrow(2, layout[i].rotated_from, layout[i].rotated).max().item<double>() == 0);
    }
  });
}

TEST_CASE("padded rows keep what they keep alone, and rows that leave and enter take theirs along") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    constexpr int64_t kPrompt = 23, kSteps = 14;
    const std::vector<int64_t> padding{0, 9, 20};
    const auto padding_B1 = torch::tensor(padding).unsqueeze(1);
    const auto tokens = SlotTokens::random(layout, 3, kPrompt + kSteps, 4);
    LayerState batch(layout, 3, 40, torch::kFloat32, 0, stored(config, layout));
    prompt_and_steps(batch, tokens, kPrompt, kSteps - 3, padding_B1);
    std::vector<LayerState> alone;
    for (int64_t row = 0; row < 3; ++row) {
      alone.emplace_back(layout, 1, 40, torch::kFloat32, 0, stored(config, layout));
      prompt_and_steps(alone.back(), tokens.rows(row, padding[static_cast<size_t>(row)]),
                       kPrompt - padding[static_cast<size_t>(row)], kSteps - 3);
    }
    // Rows alone, joined, are the batch as well.
    auto joined = LayerState::joined(LayerState::joined(alone[0], alone[1], kPrompt + kSteps - 3, 40), alone[2],
                                     kPrompt + kSteps - 3, 40);
    const auto order = torch::tensor(std::vector<int64_t>{2, 0});
    batch.select_rows(order), joined.select_rows(order);
    SlotTokens left = tokens;
    for (auto& x : left.slots_BTW) x = x.index_select(0, order);
    for (int64_t t = kPrompt + kSteps - 3; t < kPrompt + kSteps; ++t) {
      const auto seen = remember(batch, left, {t, 1, false, padding_B1.index_select(0, order)});
      const auto again = remember(joined, left, {t, 1, false, padding_B1.index_select(0, order)});
      for (int64_t row = 0; row < 2; ++row) {
        const auto from = static_cast<size_t>(order[row].item<int64_t>());
        const auto own = tokens.rows(static_cast<int64_t>(from), padding[from]);
        const auto expected = remember(alone[from], own, {t - padding[from], 1});
        for (size_t i = 0; i < seen.size(); ++i) {
          const int64_t n = expected[i].size(1), S = seen[i].size(1);
          CHECK(torch::equal(seen[i].narrow(0, row, 1).narrow(1, S - n, n), expected[i]));
          CHECK(torch::equal(again[i].narrow(0, row, 1).narrow(1, S - n, n), expected[i]));
        }
      }
    }
  });
}

// What a policy by head leaves, for a head: the tokens whose place is even, or odd.
std::vector<int64_t> places_of(int64_t head, int64_t length) {
  std::vector<int64_t> places;
  for (int64_t t = head % 2; t < length; t += 2) places.push_back(t);
  return places;
}

TEST_CASE("under a dropping policy tokens keep their numbers until they go") {
  for (const bool by_head : {false, true})
    for_each_storage([&](const StorageConfig& config, const StateLayout& layout) {
      if (by_head && layout.size() == 1) return;
      const auto tokens = SlotTokens::random(layout, 1, 60, 5);
      const auto policy = every_second(by_head).policy;
      LayerState state(layout, 1, 60, torch::kFloat32, 0, stored(config, layout, policy));
      remember(state, tokens, {0, 37});
      // What is left of the prompt is coded as if it had been all of it.
      std::vector<LayerState> kept;
      SlotTokens own = tokens;
      for (size_t i = 0; i < layout.size(); ++i) {
        std::vector<torch::Tensor> heads;
        for (int64_t h = 0; h < layout[i].heads; ++h) {
          const auto index = torch::tensor(places_of(by_head ? h : 0, 37));
          auto x = tokens.slots_BTW[i].unflatten(2, {layout[i].heads, -1}).select(2, h).index_select(1, index);
          if (x.size(1) < 19) x = torch::constant_pad_nd(x, {0, 0, 1, 0});
          heads.push_back(x);
        }
        own.slots_BTW[i] =
            torch::cat({torch::stack(heads, 2).flatten(2), tokens.slots_BTW[i].narrow(1, 37, 1)}, 1);
      }
      if (!by_head) {
        LayerState plain(layout, 1, 60, torch::kFloat32, 0, stored(config, layout));
        remember(plain, own, {0, 19});
        const auto expected = remember(plain, own, {19, 1});
        CHECK(same(remember(state, tokens, {37, 1}), expected));
      } else {
        remember(state, tokens, {37, 1});
      }
      // From here on: what a pass saw and the policy left is what the next one sees, but for what is coded
      // then.
      for (int64_t t = 38; t < 60; ++t) {
        const auto places = state.places().clone(), valid = state.valid().clone();
        const auto seen = remember(state, tokens, {t, 1});
        for (size_t i = 0; i < layout.size(); ++i) {
          const int64_t S = seen[i].size(1), heads = layout[i].heads;
          const auto of_heads = seen[i].unflatten(2, {heads, -1});
          CHECK(S == places.size(2) + 1);
          for (int64_t h = 0; h < heads; ++h)
            for (int64_t s = 0; s + 1 < S; ++s) {
              const int64_t head = by_head ? h : 0;
              if (!valid[0][head][s].item<bool>()) continue;
              const auto place = places[0][head][s].item<int64_t>();
              const auto came = tokens.slots_BTW[i][0][place].view({heads, -1})[h];
              CHECK((of_heads[0][s][h] - came).abs().max().item<double>() < 8.0 / 3 / 2);
            }
        }
      }
    });
}

// Behind a prompt the first row keeps one token in four of it, the others all.
class OneInFourOfFirstRow final : public CachePolicy {
 public:
  explicit OneInFourOfFirstRow(int64_t prompt) : prompt_(prompt) {}

  KeptTokens choose(const HeldTokens& held, torch::Tensor&) const override {
    const auto& places = held.places_BhS;
    if (held.sequence.T() > 1) return {.stays_BhS = places >= 0};
    const auto other_rows = torch::arange(places.size(0)).view({-1, 1, 1}) > 0;
    return {.stays_BhS = other_rows.logical_or(places >= prompt_).logical_or(places.remainder(4) == 0)};
  }
  int64_t held_at(int64_t context) const override { return context; }

 private:
  int64_t prompt_;
};

TEST_CASE("a row with more groups and fewer tokens than one that codes its next group reads its own") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    constexpr int64_t kPrompt = 36, kSteps = 20;
    const auto tokens = SlotTokens::random(layout, 2, kPrompt + kSteps, 9);
    const auto padding_B1 = torch::tensor({0, 20}, torch::kInt64).unsqueeze(1);
    const auto plan = stored(config, layout, std::make_shared<OneInFourOfFirstRow>(kPrompt));
    LayerState state(layout, 2, 80, torch::kFloat32, 0, plan);
    remember(state, tokens, {0, kPrompt, false, padding_B1});
    for (int64_t t = kPrompt; t < kPrompt + kSteps; ++t) {
      const auto places = state.places().clone(), valid = state.valid().clone();
      const auto seen = remember(state, tokens, {t, 1, false, padding_B1});
      for (size_t i = 0; i < layout.size(); ++i)
        for (int64_t row = 0; row < 2; ++row)
          for (int64_t s = 0; s + 1 < seen[i].size(1); ++s) {
            if (!valid[row][0][s].item<bool>()) continue;
            const auto came = tokens.slots_BTW[i][row][places[row][0][s].item<int64_t>()];
            CHECK((seen[i][row][s] - came).abs().max().item<double>() < 8.0 / 3 / 2);
          }
    }
  });
}

TEST_CASE("tokens are cut off, or come back from a mark where cutting can't bring back what was") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    const auto tokens = SlotTokens::random(layout, 2, 40, 6);
    LayerState state(layout, 2, 40, torch::kFloat32, 0, stored(config, layout));
    prompt_and_steps(state, tokens, 20, 6);
    state.mark();
    const auto once = remember(state, tokens, {26, 1});
    for (int64_t t = 27; t < 39; ++t) remember(state, tokens, {t, 1});
    state.rewind(26);
    CHECK(same(remember(state, tokens, {26, 1}), once));
    if (config.name == CacheStorageName::kivi) {
      CHECK(aborts([&] { state.rewind(10); }));
    } else {
      state.rewind(10);
      CHECK(remember(state, tokens, {10, 1})[0].size(1) == 11);
    }
  });
}

TEST_CASE("a window bounds what is coded, and shows the last tokens") {
  for_each_storage([](const StorageConfig& config, const StateLayout& layout) {
    const auto tokens = SlotTokens::random(layout, 1, 90, 7);
    LayerState all(layout, 1, 90, torch::kFloat32, 0, stored(config, layout));
    LayerState windowed(layout, 1, 90, torch::kFloat32, 11, stored(config, layout));
    remember(all, tokens, {0, 30}), remember(windowed, tokens, {0, 30});
    for (int64_t t = 30; t < 90; ++t) {
      const auto expected = remember(all, tokens, {t, 1}), seen = remember(windowed, tokens, {t, 1});
      for (size_t i = 0; i < seen.size(); ++i) {
        CHECK(seen[i].size(1) == 11);
        CHECK(torch::equal(seen[i], expected[i].narrow(1, t + 1 - 11, 11)));
      }
    }
    CHECK(windowed.bytes() < all.bytes() / 3);
  });
}

TEST_CASE("groups that don't divide are refused, and a residual that is no multiple of them") {
  const auto refusal = [](const StorageConfig& config, const StateLayout& layout) {
    const auto problem = storage_problem(*storage_form(config), layout);
    return problem ? describe(*problem) : "accepted";
  };
  CHECK(refusal(stored_as(CacheStorageName::int4, 4), kCodedKeysAndValues) == "accepted");
  CHECK_THAT(refusal(stored_as(CacheStorageName::int4, 6), kCodedKeysAndValues),
             ContainsSubstring("group: found 6, expected a divisor of the 8 numbers of k") &&
                 ContainsSubstring("2, 4, 8"));
  CHECK(refusal(stored_as(CacheStorageName::fp8), {{.name = "c", .width = 131}}) ==
        "group: found none, expected a divisor of the 131 numbers of c that are coded together: 131");
  CHECK(refusal(stored_as(CacheStorageName::fp8, 131), {{.name = "c", .width = 131}}) == "accepted");
  auto kivi = stored_as(CacheStorageName::kivi);
  REQUIRE(storage_config_problem(kivi));
  CHECK_THAT(describe(*storage_config_problem(kivi)),
             ContainsSubstring("residual: found 8, expected a multiple of the 32 tokens"));
}

}  // namespace
}  // namespace attnlab::test
