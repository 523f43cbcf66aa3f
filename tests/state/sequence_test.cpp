// Who may see whom, and what a recurrence is told, for padded rows, pieces, windows and documents.
#include "state/sequence.h"

#include "catch.h"

namespace attnlab::test {
namespace {

torch::Tensor numbers(std::vector<int64_t> values) { return torch::tensor(values); }

// The rule in loops: column s is seen from column t if it is no later, in the window, in the row's tokens and
// in the same document; padded columns see themselves.
torch::Tensor seen_by_rule(int64_t begin, int64_t T, const std::vector<int64_t>& padding, int64_t window) {
  const auto B = static_cast<int64_t>(padding.size());
  auto mask = torch::zeros({B, 1, T, begin + T}, torch::kBool);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0; t < T; ++t)
      for (int64_t s = 0; s <= begin + t; ++s) {
        const bool in_window = window == 0 || s > begin + t - window;
        const bool real = s >= padding[static_cast<size_t>(b)];
        if ((in_window && real) || s == begin + t) mask[b][0][t][s] = true;
      }
  return mask;
}

TEST_CASE("masks of padded rows, whole or in pieces, with and without a window, follow the rule") {
  const std::vector<int64_t> padding{0, 4, 2};
  for (const int64_t begin : {0, 3, 9})
    for (const int64_t T : {1, 5})
      for (const int64_t window : {0, 3}) {
        INFO("begin " << begin << ", T " << T << ", window " << window);
        const Sequence sequence(
            {.begin = begin, .T = T, .padding_B1 = numbers(padding).unsqueeze(1), .windows = {window}});
        const auto expected = seen_by_rule(begin, T, padding, window);
        const auto mask = sequence.mask(window, begin + T);
        REQUIRE(mask.defined());
        CHECK(torch::equal(mask.expand_as(expected), expected));
        // The same by places, in another order and with one that is invalid.
        auto places = torch::arange(begin + T).flip(0).view({1, 1, -1}).expand({3, 1, -1}).contiguous();
        auto valid = torch::ones_like(places, torch::kBool);
        if (begin > 0) valid[1][0][T + begin - 1] = false;  // column 0 of row 1, which is padding anyway
        const auto at = sequence.mask_at(places, valid, window);
        CHECK(torch::equal(at, expected.flip(3)));
      }
}

TEST_CASE("rows without padding need no mask for a whole sequence or one new token") {
  CHECK_FALSE(Sequence({.T = 7}).mask(0, 7).defined());
  CHECK_FALSE(Sequence({.begin = 6, .T = 1}).mask(0, 7).defined());
  CHECK_FALSE(Sequence({.begin = 6, .T = 1, .windows = {3}}).mask(3, 3).defined());
  // A state that holds more than the window.
  const auto all = Sequence({.begin = 6, .T = 1, .windows = {3}}).mask(3, 7);
  CHECK(torch::equal(all.flatten().to(torch::kInt64), numbers({0, 0, 0, 0, 1, 1, 1})));
  const auto piece = Sequence({.begin = 3, .T = 2}).mask(0, 5);
  CHECK(torch::equal(piece[0][0].to(torch::kInt64), numbers({1, 1, 1, 1, 0, 1, 1, 1, 1, 1}).view({2, 5})));
  // A layer that keeps less looks at the last columns.
  CHECK(torch::equal(Sequence({.begin = 3, .T = 2}).mask(0, 3), piece.narrow(3, 2, 3)));
}

TEST_CASE("documents side by side see themselves alone, and begin where their places do") {
  const auto positions = numbers({0, 1, 2, 0, 1, 0}).unsqueeze(0);
  const Sequence sequence({.T = 6, .document_positions_BT = positions});
  const auto mask = sequence.mask(0, 6);
  for (int64_t t = 0; t < 6; ++t)
    for (int64_t s = 0; s < 6; ++s) {
      const bool same = (t < 3) == (s < 3) && (t == 5) == (s == 5);
      CHECK(mask[0][0][t][s].item<bool>() == (same && s <= t));
    }
  CHECK(torch::equal(sequence.starts_BT(), positions == 0));
  CHECK_FALSE(sequence.valid_BT().defined());
}

TEST_CASE("a recurrence hears which new tokens are real and where a row begins") {
  const auto padding = numbers({0, 4}).unsqueeze(1);
  const Sequence first({.T = 3, .padding_B1 = padding}), second({.begin = 3, .T = 3, .padding_B1 = padding});
  CHECK(torch::equal(first.valid_BT().to(torch::kInt64), numbers({1, 1, 1, 0, 0, 0}).view({2, 3})));
  CHECK(torch::equal(first.starts_BT().to(torch::kInt64), numbers({1, 0, 0, 0, 0, 0}).view({2, 3})));
  CHECK(torch::equal(second.valid_BT().to(torch::kInt64), numbers({1, 1, 1, 0, 1, 1}).view({2, 3})));
  CHECK(torch::equal(second.starts_BT().to(torch::kInt64), numbers({0, 0, 0, 0, 1, 0}).view({2, 3})));
  CHECK_FALSE(Sequence({.T = 3}).valid_BT().defined());
}

}  // namespace
}  // namespace attnlab::test
