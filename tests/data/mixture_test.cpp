#include "data/mixture.h"

#include <map>
#include <set>

#include "byte_tokenizer.h"
#include "core/errors.h"
#include "data/batch.h"
#include "memory_dataset.h"

using namespace attnlab;

namespace {

// `count` documents of `length` times the letter; numbers in front make them different.
std::unique_ptr<Dataset> part(char letter, int count, int length) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i)
    examples.push_back({.answer = std::to_string(i) + std::string(static_cast<size_t>(length), letter)});
  return std::make_unique<test::MemoryDataset>(std::move(examples));
}

// Long a (7 parts of the tokens), short b (2), few c (1).
std::shared_ptr<const Dataset> three() {
  std::vector<MixtureDataset::Part> parts;
  parts.push_back({7, part('a', 40, 30)});
  parts.push_back({2, part('b', 100, 5)});
  parts.push_back({1, part('c', 3, 11)});
  return std::make_shared<MixtureDataset>(std::move(parts));
}

BatchConfig config_of(Packing packing) {
  return {.batch_size = 4,
          .sequence_length = 40,
          .packing = packing,
          .bos_id = test::bos_id,
          .eos_id = test::eos_id,
          .pad_id = test::eos_id};
}

DataConfig mixed() {
  DataConfig config;
  config.mixture = {{.weight = 3, .source = {.kind = DataKind::word_problems, .size = 30, .heldout_size = 9}},
                    {.weight = 1, .source = {.kind = DataKind::code_functions, .size = 30, .heldout_size = 9}}};
  return config;
}

std::string error_of(const DataConfig& config) {
  try {
    open_dataset(config, Split::train);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("any beginning of a mixture is in proportion, and all examples are in it") {
  const auto data = three();
  REQUIRE(data->size() == 143);
  std::map<int64_t, int> counts;
  for (int64_t i = 0; i < 30; ++i) ++counts[data->part_of(i)];
  CHECK(counts == std::map<int64_t, int>{{0, 21}, {1, 6}, {2, 3}});
  std::map<char, int> all;
  for (int64_t i = 0; i < data->size(); ++i) ++all[data->get(i).answer.back()];
  CHECK(all == std::map<char, int>{{'a', 40}, {'b', 100}, {'c', 3}});
}

TEST_CASE("weights are shares of tokens at any step, however long the examples of the parts are") {
  const auto tokenizer = test::byte_tokenizer();
  for (const Packing packing : {Packing::none, Packing::stream, Packing::isolated}) {
    CAPTURE(name_of(packing));
    const BatchStream stream(three(), tokenizer, config_of(packing), 1);
    std::map<int64_t, double> tokens;  // by letter; its length stands for the document's
    double all = 0;
    for (int64_t step = 0; step < 120; ++step) {
      for (const int64_t token : stream.batch(step).input_ids) {
        const double share = token == 'a' - 32   ? 34 / 30.
                             : token == 'b' - 32 ? 9 / 5.
                             : token == 'c' - 32 ? 14 / 11.
                                                 : 0;
        tokens[token] += share;
        all += share;
      }
      if (step < 20) continue;
      // Two documents of 34 tokens, more or less, of 20 · 4 rows of 30 or 40 and more.
      CHECK(tokens['a' - 32] / all == Approx(0.7).margin(0.03));
      CHECK(tokens['b' - 32] / all == Approx(0.2).margin(0.03));
      CHECK(tokens['c' - 32] / all == Approx(0.1).margin(0.03));
    }
  }
}

TEST_CASE("a mixture's batches depend on seed and step alone") {
  const auto tokenizer = test::byte_tokenizer();
  for (const Packing packing : {Packing::none, Packing::stream, Packing::isolated}) {
    const BatchStream forwards(three(), tokenizer, config_of(packing), 1);
    const BatchStream backwards(three(), tokenizer, config_of(packing), 1);
    const BatchStream other(three(), tokenizer, config_of(packing), 2);
    std::vector<std::vector<int64_t>> first, last;
    for (int64_t step = 0; step < 120; ++step) first.push_back(forwards.batch(step).input_ids);
    for (int64_t step = 119; step >= 0; --step) last.insert(last.begin(), backwards.batch(step).input_ids);
    CHECK(first == last);
    CHECK(first[0] != other.batch(0).input_ids);
  }
}

TEST_CASE("each pass through a part shows all of it in an order of its own") {
  const auto data = three();
  MixtureOrder order(
      *data, [](int64_t) { return 1; }, 5);
  std::vector<std::string> seen;
  for (int64_t epoch = 0; epoch < 2; ++epoch)
    for (const int64_t i : order(epoch))
      if (data->part_of(i) == 0) seen.push_back(data->get(i).answer);
  REQUIRE(seen.size() >= 80);
  const std::set<std::string> first(seen.begin(), seen.begin() + 40),
      second(seen.begin() + 40, seen.begin() + 80);
  CHECK(first.size() == 40);
  CHECK(second == first);
  CHECK_FALSE(std::equal(seen.begin(), seen.begin() + 40, seen.begin() + 40));
}

TEST_CASE("a mixture is opened from its parts' settings, held-out parts in proportion") {
  const auto train = open_dataset(mixed(), Split::train), heldout = open_dataset(mixed(), Split::valid);
  CHECK(train->size() == 60);
  CHECK(heldout->size() == 18);
  CHECK(train->weights() == std::vector<double>{3, 1});
  int problems = 0;
  for (int64_t i = 0; i < 8; ++i) problems += !heldout->get(i).gold.empty();
  CHECK(problems == 6);
}

TEST_CASE("settings that a mixture cannot have are refused by their keys") {
  DataConfig config = mixed();
  config.mixture[1].source = {.kind = DataKind::gsm8k};
  CHECK_THAT(error_of(config), ContainsSubstring("data.mixture.1.path: found nothing"));
  config = mixed();
  config.path = "train.jsonl";
  CHECK_THAT(error_of(config), ContainsSubstring("data.path: found train.jsonl beside data.mixture"));
  config = mixed();
  config.kind = DataKind::gsm8k;
  CHECK_THAT(error_of(config), ContainsSubstring("data.kind: found gsm8k beside data.mixture"));
}
