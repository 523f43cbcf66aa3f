// What a layer keeps: slots in storages, rows that go, come and are taken back.
#include "state/layer_state.h"

#include "aborts.h"
#include "catch.h"
#include "every_second.h"
#include "state/cache_config.h"

namespace attnlab::test {
namespace {

const StateLayout kKeysAndValues{{.name = "k", .width = 3}, {.name = "v", .width = 2}};

std::shared_ptr<const Sequence> tokens(int64_t begin, int64_t T) {
  return std::make_shared<const Sequence>(SequenceParts{.begin = begin, .T = T});
}

TEST_CASE("a state returns all tokens so far, and keeps chosen rows in the given order") {
  LayerState state(kKeysAndValues, 2, 4, torch::kFloat32);
  CHECK(state.length() == 0);
  const auto k = torch::arange(24, torch::kFloat32).view({2, 4, 3}), v = -torch::arange(16).view({2, 4, 2});
  CHECK(torch::equal(state.remember(0, k.narrow(1, 0, 3)), k.narrow(1, 0, 3)));
  CHECK(state.length() == 0);  // a token counts once every slot has it
  CHECK(torch::equal(state.remember(1, v.narrow(1, 0, 3)), v.narrow(1, 0, 3).to(torch::kFloat32)));
  CHECK(state.length() == 3);
  const auto rows = torch::tensor(std::vector<int64_t>{1, 0, 1});
  state.select_rows(rows);
  CHECK(state.length() == 3);
  const auto new_k = k.index_select(0, rows);
  CHECK(torch::equal(state.remember(0, new_k.narrow(1, 3, 1)), new_k));
}

TEST_CASE("tokens come back in the form in which they were given: flat, or by heads") {
  const StateLayout layout{{.name = "k", .width = 6, .heads = 2}};
  LayerState flat(layout, 1, 5, torch::kFloat32), by_heads(layout, 1, 5, torch::kFloat32);
  const auto k_BTW = torch::randn({1, 4, 6});
  const auto k_BhTw = k_BTW.view({1, 4, 2, 3}).transpose(1, 2);
  CHECK(torch::equal(flat.remember(0, k_BTW), k_BTW));
  CHECK(torch::equal(by_heads.remember(0, k_BhTw), k_BhTw));
}

TEST_CASE("a rewound state stores the next tokens in the place of those that it forgot") {
  LayerState state(kKeysAndValues, 2, 6, torch::kFloat32);
  const auto k = torch::randn({2, 6, 3}), v = torch::randn({2, 6, 2});
  state.remember(0, k), state.remember(1, v);
  state.rewind(4);
  CHECK(state.length() == 4);
  const auto other = torch::randn({2, 1, 3});
  CHECK(torch::equal(state.remember(0, other), torch::cat({k.narrow(1, 0, 4), other}, 1)));
  CHECK(torch::equal(state.remember(1, v.narrow(1, 5, 1)),
                     torch::cat({v.narrow(1, 0, 4), v.narrow(1, 5, 1)}, 1)));
  CHECK(state.length() == 5);
}

TEST_CASE("the aligned view holds what remember returned and finite numbers up to a multiple of eight tokens") {
  for (const int64_t window : {0, 5}) {
    LayerState state({{.name = "k", .width = 3}}, 2, 12, torch::kFloat32, window);
    int64_t wide = 0;
    for (int t = 0; t < 12; ++t) {
      const auto seen = state.remember(0, torch::randn({2, 1, 3})), all = state.aligned(0);
      CHECK(torch::equal(all.narrow(1, 0, seen.size(1)), seen));
      CHECK(torch::isfinite(all).all().item<bool>());
      CHECK(all.size(1) <= (seen.size(1) + 7) / 8 * 8);
      wide += all.size(1) % TokenStorage::kAlignment == 0;
    }
    CHECK(wide == 12);
  }
}

TEST_CASE("a window bounds the memory, and what it shows is the last tokens") {
  LayerState state({{.name = "k", .width = 1}}, 1, 1000, torch::kFloat32, 5);
  for (int64_t t = 0; t < 300; ++t) {
    const auto seen = state.remember(0, torch::full({1, 1, 1}, t));
    CHECK(seen.size(1) == std::min<int64_t>(t + 1, 5));
    CHECK(seen[0][-1][0].item<int64_t>() == t);
    CHECK(seen[0][0][0].item<int64_t>() == std::max<int64_t>(0, t - 4));
  }
  CHECK(state.bytes() == 5 * 4);
}

TEST_CASE("behind a prompt a window holds what is counted, and no more room than before it") {
  const StateLayout layout{{.name = "k", .width = 3}};
  for (const int64_t prompt : {4, 5, 6, 700}) {
    LayerState state(layout, 2, 1000, torch::kFloat32, 5), pieces(layout, 2, 1000, torch::kFloat32, 5);
    const auto x_BTW = torch::randn({2, prompt + 3, 3});
    const auto pass = [&](LayerState& to, int64_t begin, int64_t T) {
      const auto seen = to.remember(0, x_BTW.narrow(1, begin, T));
      const int64_t before = std::min<int64_t>(begin, 4);
      CHECK(torch::equal(seen, x_BTW.narrow(1, begin - before, before + T)));
      to.settle(*tokens(begin, T));
      const int64_t held = std::min<int64_t>(5, begin + T);
      CHECK(to.storage(0).length() >= held);
      CHECK(static_cast<double>(to.bytes()) ==
            2 * state_bytes({}, {.layout = layout, .window = 5, .element_bytes = 4}, begin + T));
      CHECK(to.storage(0).parts()[0].storage().nbytes() <= 2 * 3 * 4 * 72);
    };
    pass(state, 0, prompt);
    for (int64_t t = 0; t < 3; ++t) pass(state, prompt + t, 1);
    pass(pieces, 0, 2), pass(pieces, 2, prompt - 2), pass(pieces, prompt, 3);
  }
}

const StateLayout kRecurrent{{.name = "sum", .width = 4, .heads = 2, .extent = Extent::fixed}};

TEST_CASE("a fixed slot starts at zero, is replaced, follows its row and is float32") {
  LayerState state(kRecurrent, 3, 10, torch::kBFloat16);
  CHECK(torch::equal(state.fixed(0), torch::zeros({3, 2, 2})));
  const auto value = torch::randn({3, 2, 2});
  state.replace(0, value);
  state.settle(*tokens(0, 4));
  CHECK(state.length() == 4);
  state.select_rows(torch::tensor(std::vector<int64_t>{2, 0}));
  CHECK(torch::equal(state.fixed(0), value.index_select(0, torch::tensor(std::vector<int64_t>{2, 0}))));
  LayerState other(kRecurrent, 1, 10, torch::kBFloat16);
  other.replace(0, torch::ones({1, 2, 2}));
  const auto joined = LayerState::joined(state, other, 4, 10);
  CHECK(torch::equal(joined.fixed(0), torch::cat({state.fixed(0), other.fixed(0)})));
  CHECK(joined.bytes() == 3 * 4 * 4);
}

TEST_CASE("what can't be cut back comes back from a mark, and from nothing else") {
  LayerState state(kRecurrent, 1, 10, torch::kFloat32);
  const auto at_four = torch::randn({1, 2, 2});
  state.replace(0, at_four);
  state.settle(*tokens(0, 4));
  state.mark();
  for (int pass = 0; pass < 2; ++pass) {  // more than once
    state.replace(0, torch::randn({1, 2, 2}));
    state.settle(*tokens(4, 3));
    CHECK(state.length() == 7);
    state.rewind(4);
    CHECK(state.length() == 4);
    CHECK(torch::equal(state.fixed(0), at_four));
  }
  CHECK(aborts([&] { state.rewind(2); }));
}

// One pass of T tokens whose numbers are their columns.
torch::Tensor remember_columns(LayerState& state, int64_t begin, int64_t T, const Sequence& sequence) {
  const auto columns =
      torch::arange(begin, begin + T, torch::kFloat32).view({1, 1, T, 1}).expand({-1, 2, -1, -1});
  auto seen = state.remember(0, columns).clone();  // what it shows moves when the policy has chosen
  state.settle(sequence);
  return seen;
}

TEST_CASE("a policy by head drops tokens behind a pass, and tells the places of those that stay") {
  LayerState state({{.name = "k", .width = 2, .heads = 2}}, 1, 9, torch::kFloat32, 0, every_second(true));
  CHECK(remember_columns(state, 0, 5, *tokens(0, 5)).size(2) == 5);  // the pass itself sees all
  CHECK(state.kept() == 3);
  const auto seen = remember_columns(state, 5, 1, *tokens(5, 1));  // 0 2 4 and 1 3 stayed, then 5 came
  CHECK(torch::equal(seen[0][0].flatten(), torch::tensor({0.f, 2.f, 4.f, 5.f})));
  CHECK(torch::equal(seen[0][1].narrow(0, 1, 3).flatten(), torch::tensor({1.f, 3.f, 5.f})));
  // The odd head has a gap on the left.
  CHECK(torch::equal(state.valid()[0].to(torch::kInt64),
                     torch::tensor(std::vector<int64_t>{1, 1, 1, 1, 1, 1}).view({2, 3})));
  CHECK(torch::equal(state.places()[0], torch::tensor(std::vector<int64_t>{0, 2, 4, 1, 3, 5}).view({2, 3})));
}

TEST_CASE("rows under a policy join by their last columns") {
  const StateLayout layout{{.name = "k", .width = 2, .heads = 2}};
  const auto plan = every_second(false);
  LayerState longer(layout, 1, 9, torch::kFloat32, 0, plan), shorter(layout, 1, 9, torch::kFloat32, 0, plan);
  remember_columns(longer, 0, 6, *tokens(0, 6));
  remember_columns(shorter, 0, 3, *tokens(0, 3));
  auto joined = LayerState::joined(longer, shorter, 6, 9);
  CHECK(joined.length() == 6);
  CHECK(torch::equal(joined.places()[0][0], torch::tensor(std::vector<int64_t>{0, 2, 4})));
  CHECK(torch::equal(joined.places()[1][0].narrow(0, 1, 2), torch::tensor(std::vector<int64_t>{3, 5})));
  CHECK(torch::equal(joined.valid()[1][0].to(torch::kInt64), torch::tensor(std::vector<int64_t>{0, 1, 1})));
  joined.select_rows(torch::tensor(std::vector<int64_t>{1}));
  CHECK(torch::equal(joined.places()[0][0].narrow(0, 1, 2), torch::tensor(std::vector<int64_t>{3, 5})));
}

TEST_CASE("a mark brings back tokens that a policy dropped since") {
  LayerState state({{.name = "k", .width = 2, .heads = 2}}, 1, 20, torch::kFloat32, 0, every_second(true));
  remember_columns(state, 0, 5, *tokens(0, 5));
  state.mark();
  const auto places = state.places().clone();
  remember_columns(state, 5, 4, *tokens(5, 4));
  state.rewind(5);
  CHECK(torch::equal(state.places(), places));
  const auto seen = remember_columns(state, 5, 1, *tokens(5, 1));
  CHECK(torch::equal(seen[0][0].flatten(), torch::tensor({0.f, 2.f, 4.f, 5.f})));
}

}  // namespace
}  // namespace attnlab::test
