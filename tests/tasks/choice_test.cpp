#include "support.h"
#include "tasks/choice_score.h"
#include "tasks/text_pair.h"
#include "text/tokenizer.h"

namespace attnlab {
namespace {

using Ids = std::vector<int64_t>;

// A tokenizer that knows the pieces " ab" (100), "ab" (101) and single bytes.
Ids encode(const std::string& text) {
  Ids ids;
  for (size_t at = 0; at < text.size();) {
    const bool spaced = text.compare(at, 3, " ab") == 0, plain = text.compare(at, 2, "ab") == 0;
    ids.push_back(spaced ? 100 : plain ? 101 : static_cast<unsigned char>(text[at]));
    at += spaced ? 3 : plain ? 2 : 1;
  }
  return ids;
}

TEST_CASE("the likeliest choice by sum, by character and by byte") {
  const std::vector<std::string> choices{"ab", "éééé", "日本語日本語"};  // 2, 4, 6 characters; 2, 8, 18 bytes
  const Choice chosen = choose(std::vector<double>{-2, -3.2, -4.5}, choices);
  CHECK(chosen.by_sum == 0);         // -2
  CHECK(chosen.by_characters == 2);  // -1, -0.8, -0.75
  CHECK(chosen.by_bytes == 2);       // -1, -0.4, -0.25
  const Choice other = choose(std::vector<double>{-2, -3, -18}, {"ab", "éé", "abcdefghi"});
  CHECK(other.by_characters == 0);
  CHECK(other.by_bytes == 1);
  const Choice tied = choose(std::vector<double>{-5, -1, -1}, {"a", "b", "c"});
  CHECK(tied.by_sum == 1);
  CHECK(tied.by_characters == 1);
}

TEST_CASE("accuracies are shares of the items") {
  const std::vector<ChoiceItem> items{choice_item("Q", {"a", "bbbb"}, 1), choice_item("Q", {"a", "b"}, 0)};
  const auto accuracy = choice_accuracy(items, {{-1, -2}, {-1, -2}});
  CHECK(accuracy.acc == 0.5);
  CHECK(accuracy.acc_norm == 1);
  CHECK(accuracy.n == 2);
  CHECK(choice_accuracy({}, {}).n == 0);
}

TEST_CASE("a text pair is split where the context's ids end") {
  const IdPair plain = split_text_pair("x", " ab", 1, encode);
  CHECK(plain.context == Ids{'x'});
  CHECK(plain.continuation == Ids{100});
  CHECK(split_text_pair("x ", "ab", 1, encode).continuation == Ids{100});  // the blank moves over
  CHECK(split_text_pair("x\t\u00A0", "y", 1, encode).context == Ids{'x'});
  const IdPair seam = split_text_pair("xa", "b", 1, encode);  // "ab" merges over the seam
  CHECK(seam.context == Ids{'x', 'a'});
  CHECK(seam.continuation.empty());
  CHECK(split_text_pair("", "x", 1, encode).context == Ids{1});
  CHECK(split_text_pair("  ", "x", 1, encode).continuation == Ids{' ', ' ', 'x'});
}

TEST_CASE("what is too long is cut from the left") {
  const ScoredIds scored = scored_ids({{1, 2, 3, 4}, {5, 6}}, 3);
  CHECK(scored.input == Ids{3, 4, 5});
  CHECK(scored.targets == 2);
  CHECK(scored_ids({{1}, {5, 6}}, 8).input == Ids{1, 5});
  CHECK(scored_ids({{1}, {5, 6, 7}}, 3).input == Ids{1, 5, 6});
  CHECK_THAT(test::refusal([] { scored_ids({{1}, {5, 6, 7, 8}}, 3); }), ContainsSubstring("found 4 tokens"));
  CHECK(truncate_prompt({1, 2, 3, 4}, 5, 3) == Ids{3, 4});
  CHECK(truncate_prompt({1, 2}, 5, 3) == Ids{1, 2});
  CHECK_THAT(test::refusal([] { truncate_prompt({1}, 3, 3); }),
             ContainsSubstring("less than the model's window of 3"));
}

TEST_CASE("examples stand before an item, answered") {
  auto pool = std::vector<ChoiceItem>{choice_item("P", {"a", "b"}, 1), choice_item("R", {"a", "b"}, 0)};
  const std::vector<ChoiceItem> items{choice_item("Q", {"a", "b"}, 0)};
  CHECK(with_shots(items, pool, 1)[0].contexts[1] == "P b\n\nQ");
  CHECK(with_shots(items, {}, 0)[0].contexts[0] == "Q");
  CHECK_THAT(test::refusal([&] { with_shots(items, pool, 3); }),
             ContainsSubstring("found 3, expected at most 2"));
  pool[0].header = "About law.\n\n";
  CHECK(with_shots(items, pool, 1)[0].contexts[0] == "R a\n\nQ");
  CHECK(with_shots({pool[0]}, pool, 1)[0].contexts[0] == "About law.\n\nP b\n\nP");
  CHECK_THAT(test::refusal([&] { with_shots({pool[0]}, pool, 2); }), ContainsSubstring("for one subject"));
}

TEST_CASE("choices agree with lm_eval") {
  if (!test::all_there({test::fixture("mc_scoring.json")})) SKIP_TEST("no mc_scoring.json");
  const auto vectors = test::read_json(test::fixture("mc_scoring.json"));
  std::vector<ChoiceItem> items;
  std::vector<std::vector<double>> sums;
  for (const auto& row : vectors["items"]) {
    const ChoiceItem item = choice_item(row["context"], row["choices"], row["gold"]);
    CHECK(item.continuations == row["continuations"].get<std::vector<std::string>>());
    const auto sum = row["loglikelihood"].get<std::vector<double>>();
    const Choice chosen = choose(sum, item.choices);
    CHECK(chosen.by_sum == row["pred_acc"]);
    CHECK(chosen.by_characters == row["pred_acc_norm"]);
    CHECK(chosen.by_bytes == row["pred_acc_bytes"]);
    items.push_back(item);
    sums.push_back(sum);
  }
  REQUIRE(items.size() == 22);
  const auto accuracy = choice_accuracy(items, sums);
  CHECK(accuracy.acc == Approx(vectors["item_means"]["acc"].get<double>()));
  CHECK(accuracy.acc_norm == Approx(vectors["item_means"]["acc_norm"].get<double>()));
  CHECK(accuracy.acc_bytes == Approx(vectors["item_means"]["acc_bytes"].get<double>()));
}

TEST_CASE("texts become the ids of lm_eval") {
  const auto folder = test::fixture("tiny_llama");
  if (!test::all_there({test::fixture("mc_scoring.json"), folder})) SKIP_TEST("no mc_scoring.json");
  const auto vectors = test::read_json(test::fixture("mc_scoring.json"));
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const auto split = [&](const std::string& context, const std::string& continuation) {
    return split_text_pair(context, continuation, vectors["prefix_token_id"],
                           [&](const std::string& text) { return tokenizer.encode(text); });
  };
  REQUIRE(vectors["text_pairs"].size() >= 11);
  for (const auto& row : vectors["text_pairs"]) {
    CAPTURE(row["context"], row["continuation"]);
    const IdPair pair = split(row["context"], row["continuation"]);
    CHECK(pair.context == row["context_ids"].get<Ids>());
    CHECK(pair.continuation == row["continuation_ids"].get<Ids>());
  }
  for (const auto& row : vectors["items"])
    for (size_t i = 0; i < row["ids"].size(); ++i) {
      CAPTURE(row["context"], row["continuations"][i]);
      const IdPair pair = split(row["context"], row["continuations"][i]);
      CHECK(pair.context == row["ids"][i]["context"].get<Ids>());
      CHECK(pair.continuation == row["ids"][i]["continuation"].get<Ids>());
    }
}

}  // namespace
}  // namespace attnlab
