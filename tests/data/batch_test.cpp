#include "data/batch.h"

#include <map>
#include <set>

#include "core/errors.h"
#include "core/random.h"
#include "ids.h"
#include "memory_dataset.h"

using namespace attnlab;
using Ids = std::vector<int64_t>;

namespace {

std::shared_ptr<const Dataset> listed(std::vector<Example> examples) {
  return std::make_shared<test::MemoryDataset>(std::move(examples));
}

using test::bos, test::eos, test::id, test::no;

BatchConfig with_ends(BatchConfig config) {
  config.bos_id = bos;
  config.eos_id = eos;
  config.pad_id = eos;
  return config;
}

// Documents "a", "bb", "ccc", … with known counts of tokens.
std::vector<Example> letters(int n) {
  std::vector<Example> examples;
  for (int i = 0; i < n; ++i)
    examples.push_back({.answer = std::string(static_cast<size_t>(i + 1), static_cast<char>('a' + i))});
  return examples;
}

}  // namespace

TEST_CASE("a row is bos, prompt, answer, eos, and only the answer and eos are targets") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(
      std::vector<Example>{{.prompt = "pq", .answer = "xyz"}, {.prompt = "p", .answer = "x"}});
  const auto batches =
      sequential_batches(data, *tokenizer, with_ends({.batch_size = 2, .sequence_length = 10}));
  REQUIRE(batches.size() == 1);
  const Batch& batch = batches[0];
  CHECK(batch.rows == 2);
  CHECK(batch.columns == 6);
  CHECK(batch.input_ids == Ids{bos, id('p'), id('q'), id('x'), id('y'), id('z'),  //
                               bos, id('p'), id('x'), eos, eos, eos});
  CHECK(batch.targets == Ids{no, no, id('x'), id('y'), id('z'), eos,  //
                             no, id('x'), eos, no, no, no});
  CHECK(batch.tokens == 9);
  CHECK(batch.loss_tokens == 6);
}

TEST_CASE("with loss_on_prompt every token but the first is a target") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(std::vector<Example>{{.prompt = "pq", .answer = "x"}});
  const auto batch =
      sequential_batches(data, *tokenizer, with_ends({.sequence_length = 10, .loss_on_prompt = true}))[0];
  CHECK(batch.targets == Ids{id('p'), id('q'), id('x'), eos});
}

TEST_CASE("an answer that ends with eos gets no second one") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(
      std::vector<Example>{{.prompt = "p", .answer = "x<eos>"}, {.prompt = "p", .answer = ""}});
  const auto batch =
      sequential_batches(data, *tokenizer, with_ends({.batch_size = 2, .sequence_length = 10}))[0];
  CHECK(batch.targets == Ids{no, id('x'), eos, no, eos, no});
}

TEST_CASE("a tokenizer without bos or eos adds nothing") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(std::vector<Example>{{.prompt = "p", .answer = "xy"}});
  const auto batch = sequential_batches(data, *tokenizer, {.sequence_length = 10})[0];
  CHECK(batch.input_ids == Ids{id('p'), id('x')});
  CHECK(batch.targets == Ids{id('x'), id('y')});
}

TEST_CASE("long examples are cut off at sequence_length and counted") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed({{.prompt = "p", .answer = "abcdef"}, {.prompt = "p", .answer = "ab"}});
  const BatchConfig config = with_ends({.batch_size = 2, .sequence_length = 4});
  const auto batch = sequential_batches(*data, *tokenizer, config)[0];
  CHECK(batch.columns == 4);
  CHECK(Ids(batch.targets.begin(), batch.targets.begin() + 4) == Ids{no, id('a'), id('b'), id('c')});
  CHECK(Ids(batch.targets.begin() + 4, batch.targets.end()) == Ids{no, id('a'), id('b'), eos});
  const BatchStream stream(data, tokenizer, config, 0);
  CHECK(stream.truncated_examples() == 1);
  CHECK(stream.truncated_tokens() == 4);  // 8 positions, 4 shown
  CHECK(stream.tokens_per_epoch() == 9 + 5);
}

TEST_CASE("an epoch shows each example once, in an order of its own") {
  const auto tokenizer = test::byte_tokenizer();
  const BatchConfig config = with_ends({.batch_size = 2, .micro_batches = 2, .sequence_length = 40});
  const BatchStream stream(listed(letters(20)), tokenizer, config, 5);
  std::vector<Ids> orders;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    Ids order;
    for (int64_t step = epoch * 5; step < epoch * 5 + 5; ++step)
      for (int64_t micro = 0; micro < 2; ++micro) {
        const Batch batch = stream.batch(step, micro);
        for (int64_t r = 0; r < batch.rows; ++r)
          order.push_back(batch.input_ids[static_cast<size_t>(r * batch.columns + 1)]);
      }
    CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 20);
    orders.push_back(order);
  }
  CHECK(orders[0] != orders[1]);
}

TEST_CASE("a batch depends on seed and step alone, not on what was asked before") {
  const auto tokenizer = test::byte_tokenizer();
  for (const Packing packing : {Packing::none, Packing::stream, Packing::isolated}) {
    const BatchConfig config = with_ends({.batch_size = 3, .sequence_length = 17, .packing = packing});
    const auto data = listed(letters(20));
    const BatchStream first(data, tokenizer, config, 5), again(data, tokenizer, config, 5),
        other(data, tokenizer, config, 6);
    std::vector<Ids> forward, backward;
    for (int64_t step = 0; step < 40; ++step) forward.push_back(first.batch(step).input_ids);
    for (int64_t step = 39; step >= 0; --step) backward.insert(backward.begin(), again.batch(step).input_ids);
    CHECK(forward == backward);
    CHECK(forward[0] != other.batch(0).input_ids);
  }
}

TEST_CASE("the split of a step into micro-batches does not change its rows") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed(letters(20));
  const BatchStream whole(data, tokenizer, {.batch_size = 4, .sequence_length = 9, .packing = Packing::stream},
                          1);
  const BatchStream halves(
      data, tokenizer, {.batch_size = 2, .micro_batches = 2, .sequence_length = 9, .packing = Packing::stream},
      1);
  Ids joined = halves.batch(3, 0).input_ids;
  const Ids second = halves.batch(3, 1).input_ids;
  joined.insert(joined.end(), second.begin(), second.end());
  CHECK(whole.batch(3).input_ids == joined);
}

TEST_CASE("packing loses no token: targets of an epoch are its documents, ends included") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed(letters(20));
  const BatchConfig config = with_ends({.batch_size = 1, .sequence_length = 7, .packing = Packing::stream});
  const BatchStream stream(data, tokenizer, config, 2);
  // 20 documents of 1..20 letters with two ends: 250 tokens an epoch. 7 epochs are 250 rows of 7.
  REQUIRE(stream.tokens_per_epoch() == 250);
  std::map<int64_t, int64_t> counts;
  Ids inputs, targets;
  for (int64_t step = 0; step < 250; ++step) {
    const Batch batch = stream.batch(step);
    REQUIRE(batch.columns == 7);
    REQUIRE(batch.loss_tokens == 7);
    inputs.insert(inputs.end(), batch.input_ids.begin(), batch.input_ids.end());
    targets.insert(targets.end(), batch.targets.begin(), batch.targets.end());
  }
  for (const int64_t input : inputs) ++counts[input];
  CHECK(counts[bos] == 7 * 20);
  CHECK(counts[eos] == 7 * 20);
  for (int i = 0; i < 20; ++i) CHECK(counts[id(static_cast<char>('a' + i))] == 7 * (i + 1));
  // Shifted by one across row ends, too.
  CHECK(Ids(inputs.begin() + 1, inputs.end()) == Ids(targets.begin(), targets.end() - 1));
  // Every document is whole: bos, n times the n-th letter, eos.
  for (size_t at = 0; at < inputs.size();) {
    REQUIRE(inputs[at] == bos);
    const int64_t letter = inputs[at + 1];
    const auto length = static_cast<size_t>(letter - id('a') + 1);
    for (size_t k = 1; k <= length; ++k) REQUIRE(inputs[at + k] == letter);
    REQUIRE(inputs[at + length + 1] == eos);
    at += length + 2;
  }
}

// Twin: the documents of all epochs in one sequence, cut by hand. Runs of before must go on with the same rows.
TEST_CASE("rows come in the order of permutation(n, mix64(seed) ^ epoch), packed as one stream or not") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed(letters(20));
  const uint64_t seed = 9;
  Ids order, stream;
  for (uint64_t epoch = 0; epoch < 4; ++epoch)
    for (const int64_t i : permutation(20, mix64(seed) ^ epoch)) {
      order.push_back(i);
      stream.push_back(bos);
      stream.insert(stream.end(), static_cast<size_t>(i + 1), id(static_cast<char>('a' + i)));
      stream.push_back(eos);
    }
  const BatchStream single(data, tokenizer, with_ends({.batch_size = 2, .sequence_length = 40}), seed);
  const BatchStream packed(
      data, tokenizer, with_ends({.batch_size = 2, .sequence_length = 11, .packing = Packing::stream}), seed);
  for (int64_t row = 0; row < 80; ++row) {
    const Batch one = single.batch(row / 2), full = packed.batch(row / 2);
    CHECK(one.input_ids[static_cast<size_t>(row % 2 * one.columns + 1)] ==
          id(static_cast<char>('a' + order[static_cast<size_t>(row)])));
    const auto at = stream.begin() + row * 11;
    const auto cell = row % 2 * 11;
    CHECK(Ids(full.input_ids.begin() + cell, full.input_ids.begin() + cell + 11) == Ids(at, at + 11));
    CHECK(Ids(full.targets.begin() + cell, full.targets.begin() + cell + 11) == Ids(at + 1, at + 12));
  }
}

TEST_CASE("packed held-out rows hold every token once and the last row is padded") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(letters(5));  // 15 letters and 10 ends
  const auto batches = sequential_batches(
      data, *tokenizer, with_ends({.batch_size = 3, .sequence_length = 7, .packing = Packing::stream}));
  REQUIRE(batches.size() == 2);
  CHECK(batches[0].rows == 3);
  CHECK(batches[1].rows == 1);
  CHECK(batches[0].loss_tokens + batches[1].loss_tokens == 24);
  CHECK(batches[1].columns == 3);
}

TEST_CASE("limit takes the first examples") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(letters(9));
  const auto batches = sequential_batches(data, *tokenizer, with_ends({.batch_size = 4}), 5);
  REQUIRE(batches.size() == 2);
  CHECK(batches[0].rows == 4);
  CHECK(batches[1].rows == 1);
  CHECK(batches[1].input_ids[1] == id('e'));
}

TEST_CASE("streams that are too large to tokenise at once give the same guarantees") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed(letters(20));
  const BatchConfig rows = with_ends({.batch_size = 3, .sequence_length = 12});
  const BatchStream eager(data, tokenizer, rows, 4), lazy(data, tokenizer, rows, 4, 0);
  for (int64_t step = 0; step < 10; ++step) {
    CHECK(eager.batch(step).input_ids == lazy.batch(step).input_ids);
    CHECK(eager.batch(step).targets == lazy.batch(step).targets);
  }
  CHECK(lazy.truncated_examples() > 0);

  BatchConfig packed = rows;
  packed.packing = Packing::stream;
  const BatchStream drawn(data, tokenizer, packed, 4, 0), again(data, tokenizer, packed, 4, 0);
  const Batch batch = drawn.batch(6);
  CHECK(batch.columns == 12);
  CHECK(batch.loss_tokens == 36);
  CHECK(batch.input_ids == again.batch(6).input_ids);
  CHECK(batch.input_ids != again.batch(7).input_ids);
  for (int64_t r = 0; r < 3; ++r) CHECK(batch.input_ids[static_cast<size_t>(r * 12)] == bos);
}

TEST_CASE("impossible batches are refused") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = listed(letters(3));
  CHECK_THROWS_AS(BatchStream(data, tokenizer, {.batch_size = 0}, 0), InputError);
  CHECK_THROWS_AS(BatchStream(data, tokenizer, {.sequence_length = 0}, 0), InputError);
  CHECK_THROWS_AS(BatchStream(data, tokenizer, {.eos_id = 98}, 0), InputError);
  CHECK_THROWS_AS(BatchStream(data, tokenizer, {.pad_id = -1}, 0), InputError);
  CHECK_THROWS_AS(BatchStream(listed({{.answer = ""}}), tokenizer, {.batch_size = 1}, 0), InputError);
}

TEST_CASE("real text: prompt and answer survive the way through a batch") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data = open_dataset({.kind = DataKind::generated, .heldout_size = 40}, Split::valid);
  const auto batches =
      sequential_batches(*data, *tokenizer, with_ends({.batch_size = 1, .sequence_length = 4000}));
  for (int64_t i = 0; i < data->size(); ++i) {
    const Batch& batch = batches[static_cast<size_t>(i)];
    Ids learnt;
    for (const int64_t target : batch.targets)
      if (target != no) learnt.push_back(target);
    CHECK(learnt.back() == eos);
    CHECK(tokenizer->decode(learnt) == data->get(i).answer);
    CHECK(tokenizer->decode(batch.input_ids) == data->get(i).prompt + data->get(i).answer);
  }
}
