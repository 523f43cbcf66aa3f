#include "data/packing.h"

#include <map>
#include <numeric>
#include <set>

#include "core/errors.h"
#include "core/random.h"
#include "data/batch.h"
#include "ids.h"
#include "memory_dataset.h"

using namespace attnlab;
using Ids = std::vector<int64_t>;

namespace {

using test::bos, test::eos, test::id, test::no;

std::vector<PackedRow> pack(const Ids& lengths, int64_t positions) {
  Ids documents(lengths.size());
  std::iota(documents.begin(), documents.end(), 0);
  return pack_rows(
      documents, [&](int64_t i) { return lengths[static_cast<size_t>(i)]; }, positions);
}

int64_t positions_of(const PackedRow& row) {
  return std::accumulate(row.begin(), row.end(), int64_t{0},
                         [](int64_t sum, const Piece& piece) { return sum + piece.count - 1; });
}

BatchConfig isolated(BatchConfig config) {
  config.packing = Packing::isolated;
  config.bos_id = bos;
  config.eos_id = config.pad_id = eos;
  return config;
}

}  // namespace

TEST_CASE("documents go whole into the oldest row with room") {
  const auto rows = pack({5, 7, 4, 3, 1, 0}, 8);  // positions 4, 6, 3, 2
  REQUIRE(rows.size() == 2);
  // The second row (6 + 2) is full first.
  CHECK(rows[0][0].document == 1);
  CHECK(rows[0][1].document == 3);
  CHECK(rows[1][0].document == 0);
  CHECK(rows[1][1].document == 2);
}

TEST_CASE("every token but a document's first is a target once, whatever the lengths") {
  for (const int64_t positions : {1, 2, 7, 64}) {
    Random random(5, static_cast<uint64_t>(positions));
    Ids lengths;
    for (int i = 0; i < 500; ++i) lengths.push_back(random.between(0, 40));
    std::map<std::pair<int64_t, int64_t>, int> targets;
    for (const PackedRow& row : pack(lengths, positions)) {
      CHECK(positions_of(row) <= positions);
      for (const Piece& piece : row)
        for (int64_t t = 1; t < piece.count; ++t) ++targets[{piece.document, piece.first + t}];
    }
    size_t expected = 0;
    for (const int64_t length : lengths) expected += static_cast<size_t>(std::max<int64_t>(0, length - 1));
    CHECK(targets.size() == expected);
    for (const auto& [target, count] : targets) REQUIRE(count == 1);
  }
}

TEST_CASE("rows of short documents are nearly full") {
  Random random(5);
  Ids lengths;
  for (int i = 0; i < 2000; ++i) lengths.push_back(random.between(20, 90));
  const auto rows = pack(lengths, 256);
  const int64_t used = std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) - 2000;
  CHECK(static_cast<double>(used) / static_cast<double>(256 * rows.size()) > 0.97);
}

TEST_CASE("an isolated batch carries places in documents, and targets as without packing") {
  const auto tokenizer = test::byte_tokenizer();
  const test::MemoryDataset data(
      {{.prompt = "pq", .answer = "x"}, {.prompt = "p", .answer = "y"}, {.answer = "z"}});
  const auto batches = sequential_batches(data, *tokenizer, isolated({.batch_size = 2, .sequence_length = 7}));
  REQUIRE(batches.size() == 1);
  const Batch& batch = batches[0];
  REQUIRE(batch.rows == 2);
  REQUIRE(batch.columns == 7);
  CHECK(batch.input_ids == Ids{bos, id('p'), id('q'), id('x'), bos, id('p'), id('y'),  //
                               bos, id('z'), eos, eos, eos, eos, eos});
  CHECK(batch.targets == Ids{no, no, id('x'), eos, no, id('y'), eos,  //
                             id('z'), eos, no, no, no, no, no});
  CHECK(batch.positions == Ids{0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 0, 0, 0, 0});
  CHECK(batch.tokens == 9);
  CHECK(batch.loss_tokens == 6);
}

TEST_CASE("an epoch of isolated rows shows each document once, and the next one in another order") {
  const auto tokenizer = test::byte_tokenizer();
  std::vector<Example> examples;
  for (int i = 0; i < 25; ++i)
    examples.push_back({.answer = std::string(static_cast<size_t>(1 + i % 9), static_cast<char>('a' + i))});
  const auto data = std::make_shared<test::MemoryDataset>(examples);
  const BatchStream stream(data, tokenizer, isolated({.batch_size = 1, .sequence_length = 12}), 3);
  std::vector<Ids> epochs(1);
  for (int64_t step = 0; epochs.size() < 4; ++step) {
    const Batch batch = stream.batch(step);
    for (size_t i = 0; i < batch.positions.size(); ++i)
      if (batch.positions[i] == 1) {
        if (epochs.back().size() == 25) epochs.emplace_back();
        epochs.back().push_back(batch.input_ids[i]);
      }
    REQUIRE(step < 100);
  }
  for (size_t e = 0; e < 3; ++e) CHECK(std::set<int64_t>(epochs[e].begin(), epochs[e].end()).size() == 25);
  CHECK(epochs[0] != epochs[1]);
}

TEST_CASE("a document longer than a row goes on in another one, and is counted") {
  const auto tokenizer = test::byte_tokenizer();
  const auto data =
      std::make_shared<test::MemoryDataset>(std::vector<Example>{{.answer = "abcdefghij"}, {.answer = "xy"}});
  const auto config = isolated({.batch_size = 1, .sequence_length = 5});
  const BatchStream stream(data, tokenizer, config, 0);
  CHECK(stream.truncated_examples() == 1);
  CHECK(stream.truncated_tokens() == 0);
  Ids learnt;
  for (const Batch& batch : sequential_batches(*data, *tokenizer, config))
    for (const int64_t target : batch.targets)
      if (target != no) learnt.push_back(target);
  CHECK(learnt.size() == 11 + 3);
}

TEST_CASE("data without a document of two tokens are refused") {
  const auto tokenizer = test::byte_tokenizer();
  BatchConfig config = isolated({.batch_size = 1});
  config.bos_id = config.eos_id = std::nullopt;
  const auto data = std::make_shared<test::MemoryDataset>(std::vector<Example>{{.answer = "a"}});
  CHECK_THROWS_AS(BatchStream(data, tokenizer, config, 0), InputError);
}
