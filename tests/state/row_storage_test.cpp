// Rows with places of their own: what is written where, what is seen, and what masks say of it.
#include "state/row_storage.h"

#include "catch.h"
#include "state/layer_state.h"

namespace attnlab::test {
namespace {

const StateLayout kPlacedSlots{
    {.name = "k", .width = 6, .heads = 2, .of_kv_heads = true, .serves = Serves::keys},
    {.name = "v", .width = 4, .heads = 2, .of_kv_heads = true, .serves = Serves::values}};
constexpr int64_t kPlaces = 4, kPlaceColumns = 10;

struct PlacedRows {
  std::shared_ptr<RowCursor> cursor = std::make_shared<RowCursor>();
  LayerState state{kPlacedSlots,
                   kPlaces,
                   kPlaceColumns,
                   torch::dtype(torch::kFloat64),
                   3,
                   CachePlan{.storage = row_storage(cursor)}};
  std::vector<torch::Tensor> expected{torch::zeros({kPlaces, kPlaceColumns, 6}, torch::kFloat64),
                                      torch::zeros({kPlaces, kPlaceColumns, 4}, torch::kFloat64)};

  // T tokens of some rows from a column on, or of all these rows alike.
  std::vector<torch::Tensor> enter(const std::vector<int64_t>& rows, int64_t begin, int64_t T, bool alike) {
    cursor->rows_E = torch::tensor(rows);
    cursor->begin = begin;
    const Sequence sequence({.begin = begin, .T = T, .windows = {3}});
    return pass(sequence, alike ? 1 : std::ssize(rows), T, [&](size_t slot, const torch::Tensor& x) {
      for (size_t e = 0; e < rows.size(); ++e)
        expected[slot][rows[e]].narrow(0, begin, T).copy_(x[alike ? 0 : static_cast<int64_t>(e)]);
    });
  }
  std::vector<torch::Tensor> step(const std::vector<int64_t>& columns, int64_t width) {
    const auto columns_B = torch::tensor(columns);
    cursor->rows_E = torch::Tensor();
    cursor->flat_B = torch::arange(kPlaces) * kPlaceColumns + columns_B;
    cursor->shown = width;
    const Sequence sequence({.T = 1, .ends = {columns_B, width}, .windows = {3}});
    return pass(sequence, kPlaces, 1, [&](size_t slot, const torch::Tensor& x) {
      for (int64_t b = 0; b < kPlaces; ++b) expected[slot][b][columns[static_cast<size_t>(b)]].copy_(x[b][0]);
    });
  }

 private:
  std::vector<torch::Tensor> pass(const Sequence& sequence, int64_t B, int64_t T,
                                  const std::function<void(size_t, const torch::Tensor&)>& note) {
    std::vector<torch::Tensor> seen;
    state.begin(sequence);
    for (size_t slot = 0; slot < kPlacedSlots.size(); ++slot) {
      const auto x_BTW = torch::randn({B, T, kPlacedSlots[slot].width}, torch::kFloat64);
      seen.push_back(state.remember(slot, x_BTW).clone());
      note(slot, x_BTW);
    }
    state.settle(sequence);
    CHECK(state.length() == sequence.S());
    CHECK(state.kept() == sequence.S());
    return seen;
  }
};

TEST_CASE("rows enter, grow and are taken anew at places of their own, a beginning at those of all") {
  torch::manual_seed(1);
  PlacedRows rows;
  const auto beginning = rows.enter({0, 1, 2, 3}, 0, 2, true);
  CHECK(beginning[0].size(0) == 1);  // one sequence computes it
  for (const int64_t b : {0, 3}) CHECK(torch::equal(beginning[1][0], rows.expected[1][b].narrow(0, 0, 2)));
  const auto entered = rows.enter({2, 0}, 2, 3, false);
  for (const int64_t e : {0, 1})
    CHECK(torch::equal(entered[0][e], rows.expected[0][e == 0 ? 2 : 0].narrow(0, 0, 5)));
  const auto stepped = rows.step({5, 2, 5, 0}, 8);
  for (size_t slot = 0; slot < 2; ++slot)
    CHECK(torch::equal(stepped[slot], rows.expected[slot].narrow(1, 0, 8)));
  rows.step({6, 3, 6, 0}, 8);
  rows.enter({0}, 2, 1, false);  // another sequence, shorter than the one before
  const auto last = rows.step({3, 4, 7, 0}, 10);
  CHECK(torch::equal(last[0], rows.expected[0]));
  rows.state.select_rows(torch::tensor({2, 1}));
  CHECK(rows.state.bytes() == 2 * kPlaceColumns * 10 * 8);
}

TEST_CASE("a query at a row's end sees the row up to itself, and of a window its last columns") {
  const Sequence sequence({.T = 1,
                           .ends = {torch::tensor({4, 0, 2}), 7},
                           .windows = {3, 9},
                           .rotary = {{torch::arange(7).view({1, 7, 1}), torch::arange(7).view({1, 7, 1})}}});
  CHECK(sequence.S() == 7);
  const auto seen = [&](int64_t window) { return sequence.mask(window, 7).view({3, 7}).to(torch::kInt64); };
  CHECK(torch::equal(seen(0),
                     torch::tensor({{1, 1, 1, 1, 1, 0, 0}, {1, 0, 0, 0, 0, 0, 0}, {1, 1, 1, 0, 0, 0, 0}})));
  CHECK(torch::equal(seen(9), seen(0)));
  CHECK(torch::equal(seen(3),
                     torch::tensor({{0, 0, 1, 1, 1, 0, 0}, {1, 0, 0, 0, 0, 0, 0}, {1, 1, 1, 0, 0, 0, 0}})));
  CHECK(torch::equal(sequence.new_rotary(0).cos_BTH, torch::tensor({4, 0, 2}).view({3, 1, 1})));
  CHECK_FALSE(sequence.valid_BT().defined());
}

}  // namespace
}  // namespace attnlab::test
