#include "model/sampling.h"

#include <set>

#include "attention/gqa.h"
#include "catch.h"
#include "core/random.h"
#include "model/generate.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

using Ids = std::vector<int64_t>;

// Each of the tokens 0, 1, 2, … with its share, as logits of `rows` equal rows.
torch::Tensor logits_of(const std::vector<double>& shares, int64_t rows) {
  return torch::tensor(shares, torch::kFloat64).log().to(torch::kFloat32).unsqueeze(0).repeat({rows, 1});
}

// How often each token is chosen.
std::vector<int64_t> counts_of(const Ids& tokens, size_t vocabulary) {
  std::vector<int64_t> counts(vocabulary);
  for (const int64_t token : tokens) ++counts.at(static_cast<size_t>(token));
  return counts;
}

Ids choose(const torch::Tensor& logits_BV, const SamplingOptions& options,
           const std::vector<double>& uniforms) {
  const auto tokens = choose_tokens(logits_BV, options, torch::tensor(uniforms, torch::kFloat64));
  return {tokens.data_ptr<int64_t>(), tokens.data_ptr<int64_t>() + tokens.numel()};
}

std::vector<double> random_uniforms(int64_t count) {
  Random random(7);
  std::vector<double> uniforms;
  for (int64_t i = 0; i < count; ++i) uniforms.push_back(random.uniform());
  return uniforms;
}

// An even grid over [0, 1): what is chosen then is the distribution itself, up to one grid cell a token.
std::vector<double> grid(int64_t count) {
  std::vector<double> uniforms;
  for (int64_t i = 0; i < count; ++i)
    uniforms.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(count));
  return uniforms;
}

// Σ (observed - expected)² / expected.
double chi_square(const std::vector<int64_t>& counts, const std::vector<double>& shares) {
  int64_t draws = 0;
  for (const int64_t count : counts) draws += count;
  double sum = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double expected = shares[i] * static_cast<double>(draws);
    sum += std::pow(static_cast<double>(counts[i]) - expected, 2) / expected;
  }
  return sum;
}

// For n shares χ² has mean n - 1 and deviation √(2 (n - 1)): six deviations above is 1e-6 or rarer.
double bound(size_t n) {
  const auto freedom = static_cast<double>(n - 1);
  return freedom + 6 * std::sqrt(2 * freedom);
}

// softmax(log p / temperature).
std::vector<double> tempered(std::vector<double> shares, double temperature) {
  double total = 0;
  for (double& share : shares) total += share = std::pow(share, 1 / temperature);
  for (double& share : shares) share /= total;
  return shares;
}

const std::vector<double> kShares{0.05, 0.3, 0.02, 0.25, 0.18, 0.12, 0.08};

TEST_CASE("tokens are as frequent as the softmax at the temperature says") {
  const int64_t draws = 100000;
  const auto logits = logits_of(kShares, draws);
  for (const double temperature : {0.5, 1.0, 1.7}) {
    INFO("temperature " << temperature);
    const auto tokens = choose(logits, {.temperature = temperature}, random_uniforms(draws));
    const auto counts = counts_of(tokens, kShares.size());
    CHECK(chi_square(counts, tempered(kShares, temperature)) < bound(kShares.size()));
    // A temperature that is 10 % off would be seen.
    CHECK(chi_square(counts, tempered(kShares, 1.1 * temperature)) > bound(kShares.size()));
  }
}

TEST_CASE("temperature 0 takes the likeliest token and needs no random numbers") {
  const auto logits = logits_of(kShares, 2);
  const auto tokens = choose_tokens(logits, {.temperature = 0, .top_k = 3, .top_p = 0.1}, {});
  CHECK(tokens.eq(1).all().item<bool>());
}

// The kept tokens and, renormalised, their shares.
void check_kept(const SamplingOptions& options, const std::set<int64_t>& kept) {
  INFO("top_k " << options.top_k << ", top_p " << options.top_p);
  constexpr int64_t cells = 4000;
  double total = 0;
  for (const int64_t token : kept) total += kShares[static_cast<size_t>(token)];
  const auto tokens = choose(logits_of(kShares, cells), options, grid(cells));
  CHECK(std::set<int64_t>(tokens.begin(), tokens.end()) == kept);
  const auto counts = counts_of(tokens, kShares.size());
  for (const int64_t token : kept) {
    const auto i = static_cast<size_t>(token);
    // An interval on the grid holds its length in cells, give or take one at its ends.
    CHECK(std::abs(static_cast<double>(counts[i]) - kShares[i] / total * cells) <= 1.5);
  }
}

TEST_CASE("top_k and top_p keep exactly the likeliest tokens, with their shares of the rest") {
  check_kept({.temperature = 1}, {0, 1, 2, 3, 4, 5, 6});
  check_kept({.temperature = 1, .top_k = 1}, {1});
  check_kept({.temperature = 1, .top_k = 3}, {1, 3, 4});
  check_kept({.temperature = 1, .top_k = 7}, {0, 1, 2, 3, 4, 5, 6});
  check_kept({.temperature = 1, .top_k = 99}, {0, 1, 2, 3, 4, 5, 6});
  // In order: 0.3, 0.55, 0.73, 0.85, 0.93, 0.98, 1; the token that reaches top_p stays.
  check_kept({.temperature = 1, .top_p = 0.29}, {1});
  check_kept({.temperature = 1, .top_p = 0.31}, {1, 3});
  check_kept({.temperature = 1, .top_p = 0.72}, {1, 3, 4});
  check_kept({.temperature = 1, .top_p = 0.9}, {1, 3, 4, 5, 6});
  check_kept({.temperature = 1, .top_p = 0.99}, {0, 1, 2, 3, 4, 5, 6});
  // However small, one token stays.
  check_kept({.temperature = 1, .top_p = 1e-9}, {1});
  check_kept({.temperature = 1, .top_p = 0}, {1});
  // top_p looks at shares among the top_k: 0.3, 0.25 and 0.18 of 0.73 are 0.411, 0.342 and 0.247.
  check_kept({.temperature = 1, .top_k = 3, .top_p = 0.4}, {1});
  check_kept({.temperature = 1, .top_k = 3, .top_p = 0.74}, {1, 3});
  check_kept({.temperature = 1, .top_k = 3, .top_p = 0.76}, {1, 3, 4});
}

// 1 - 2^-53 becomes 1 in float32: the choice must not leave the kept tokens.
TEST_CASE("the ends of the unit interval choose the likeliest and the least likely kept token") {
  const auto logits = logits_of(kShares, 2);
  const std::vector<double> ends{0, std::nextafter(1.0, 0.0)};
  CHECK(choose(logits, {.temperature = 1}, ends) == Ids{1, 2});
  CHECK(choose(logits, {.temperature = 1, .top_k = 3}, ends) == Ids{1, 4});
  CHECK(choose(logits, {.temperature = 1, .top_p = 0.8}, ends) == Ids{1, 5});
  // A token without any chance is never chosen.
  const auto certain = torch::tensor({{0.0F, -INFINITY, -1000.0F}, {-INFINITY, 0.0F, -INFINITY}});
  CHECK(choose(certain, {.temperature = 1}, {ends[1], ends[1]}) == Ids{0, 1});
}

TEST_CASE("a prompt's tokens depend on the seed and its stream, not on its neighbours") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  const std::vector<Ids> prompts{{5}, {7, 1, 30, 2, 2, 9, 11}, {4, 4, 8}, {5}};
  GenerateOptions options{
      .max_new_tokens = 20, .sampling = {.temperature = 0.9, .top_k = 20, .top_p = 0.95}, .seed = 3};
  const auto batch = generate(*decoder, prompts, options);
  CHECK(generate(*decoder, prompts, options) == batch);
  CHECK(batch[0] != batch[3]);  // equal prompts, other streams
  for (size_t i = 0; i < prompts.size(); ++i) {
    options.streams = {i};
    CHECK(generate(*decoder, {prompts[i]}, options)[0] == batch[i]);
  }
  options.streams.clear();
  options.seed = 4;
  CHECK(generate(*decoder, prompts, options) != batch);
}

TEST_CASE("rows that leave the batch do not shift the random numbers of the others") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  const std::vector<Ids> prompts(8, Ids{5, 9});
  GenerateOptions options{.max_new_tokens = 16, .sampling = {.temperature = 1}, .seed = 3};
  auto expected = generate(*decoder, prompts, options);
  options.stop_tokens = {expected[0][2], expected[1][5]};
  size_t ended = 0;
  for (auto& tokens : expected) {
    const auto stop = std::find_first_of(tokens.begin(), tokens.end(), options.stop_tokens.begin(),
                                         options.stop_tokens.end());
    if (stop != tokens.end()) ++ended;
    tokens.erase(stop, tokens.end());
  }
  REQUIRE(ended > 2);
  REQUIRE(ended < prompts.size());
  CHECK(generate(*decoder, prompts, options) == expected);
}

// The first numbers of streams that follow one another are as independent as those of one stream.
TEST_CASE("first tokens over many streams are as frequent as the softmax says") {
  const auto config = test::small_config();
  const auto decoder = test::make_decoder(config, test::lively_weights(config), Gqa::Config{});
  const auto made = generate(*decoder, std::vector<Ids>(4000, Ids{3, 14, 15}),
                             {.max_new_tokens = 1, .sampling = {.temperature = 2}});
  Ids tokens;
  for (const auto& row : made) tokens.push_back(row.at(0));
  const torch::NoGradGuard no_grad;
  const auto logits =
      decoder->logits(decoder->hidden(torch::tensor(Ids{3, 14, 15}).unsqueeze(0)).select(1, -1));
  const auto shares = torch::softmax(logits[0].to(torch::kFloat64) / 2, -1);
  const std::vector<double> expected(shares.data_ptr<double>(), shares.data_ptr<double>() + shares.numel());
  REQUIRE(shares.min().item<double>() * 4000 > 5);  // χ² needs some of each
  CHECK(chi_square(counts_of(tokens, expected.size()), expected) < bound(expected.size()));
}

}  // namespace
}  // namespace attnlab
