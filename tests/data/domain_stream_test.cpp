#include "data/domain_stream.h"

#include <map>

#include "byte_tokenizer.h"
#include "catch.h"
#include "data/mixture.h"
#include "memory_dataset.h"

namespace attnlab {
namespace {

// Documents of one letter, told apart by the numbers in front.
std::unique_ptr<Dataset> letters(char letter, int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i) examples.push_back({.answer = std::to_string(i) + std::string(12, letter)});
  return std::make_unique<test::MemoryDataset>(std::move(examples));
}

std::shared_ptr<const Dataset> two_parts() {
  std::vector<MixtureDataset::Part> parts;
  parts.push_back({3, letters('a', 20)});
  parts.push_back({1, letters('b', 7)});
  return std::make_shared<MixtureDataset>(std::move(parts));
}

BatchConfig two_by_four(Packing packing) {
  return {.batch_size = 4,
          .micro_batches = 2,
          .sequence_length = 16,
          .packing = packing,
          .bos_id = test::bos_id,
          .eos_id = test::eos_id,
          .pad_id = test::eos_id};
}

// How many rows of a step end in a document of 'a', and of 'b'.
std::map<char, int> rows_by_letter(const std::vector<Batch>& batches) {
  std::map<char, int> rows;
  for (const Batch& batch : batches)
    for (int64_t r = 0; r < batch.rows; ++r)
      for (const char letter : {'a', 'b'}) {
        const auto begin = batch.input_ids.begin() + r * batch.columns;
        rows[letter] += std::count(begin, begin + batch.columns, letter - 32) > 3;
      }
  return rows;
}

TEST_CASE("rows follow the shares of each stretch of steps, and a part's rows go on where they stopped") {
  ShareHistory history({3, 1}, 8);
  history.change(5, {0.5, 0.5});
  history.change(9, {0.1, 0.9});
  std::map<int64_t, int64_t> next;  // the part's own rows come one after the other, each once
  for (int64_t step = 0; step < 20; ++step) {
    const auto places = history.places(step);
    REQUIRE(places.size() == 8);
    for (const auto& place : places) CHECK(place.row == next[place.part]++);
    if (step == 4) CHECK(next == std::map<int64_t, int64_t>{{0, 30}, {1, 10}});
    if (step == 8) CHECK(next == std::map<int64_t, int64_t>{{0, 46}, {1, 26}});
  }
  // 88 rows behind step 9, a tenth of the first part.
  CHECK(next[0] == Approx(46 + 8.8).margin(1));
  CHECK(next[0] + next[1] == 160);
}

TEST_CASE("a change leaves what came before it, and a history is read back exactly") {
  ShareHistory history({3, 1}, 8), longer({3, 1}, 8);
  longer.change(6, {1.0 / 3, 2.0 / 3});
  longer.change(9, {0.1, 0.9});
  const auto same = [](const auto& a, const auto& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.part == y.part && x.row == y.row; });
  };
  for (int64_t step = 0; step < 6; ++step) CHECK(same(history.places(step), longer.places(step)));
  CHECK_FALSE(same(history.places(7), longer.places(7)));
  const auto again = ShareHistory::from_rows(longer.rows(), 8);
  CHECK(again.rows() == longer.rows());
  for (int64_t step = 0; step < 15; ++step) CHECK(same(again.places(step), longer.places(step)));
}

TEST_CASE("batches of changing shares have each part's rows, in any packing and from any thread") {
  for (const Packing packing : {Packing::none, Packing::stream, Packing::isolated}) {
    INFO(name_of(packing));
    const DomainStream stream(two_parts(), test::byte_tokenizer(), two_by_four(packing), 3);
    ShareHistory history({3, 1}, 8);
    history.change(4, {1, 7});
    CHECK(rows_by_letter(stream.batches(1, history)) == std::map<char, int>{{'a', 6}, {'b', 2}});
    CHECK(rows_by_letter(stream.batches(6, history)) == std::map<char, int>{{'a', 1}, {'b', 7}});
    const auto batches = stream.batches(2, history);
    REQUIRE(batches.size() == 2);
    const DomainStream other(two_parts(), test::byte_tokenizer(), two_by_four(packing), 3);
    CHECK(other.batches(6, history)[0].input_ids == stream.batches(6, history)[0].input_ids);
    const DomainStream seeded(two_parts(), test::byte_tokenizer(), two_by_four(packing), 4);
    CHECK(seeded.batches(2, history)[0].input_ids != batches[0].input_ids);
  }
}

}  // namespace
}  // namespace attnlab
