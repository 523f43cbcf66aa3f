// Which tokens each policy keeps, against loops over sets of tokens that follow the papers' sentences.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "catch.h"
#include "state/layer_state.h"

namespace attnlab::test {
namespace {

using enum CachePolicyName;
using Tokens = std::set<int64_t>;

constexpr int64_t kHeads = 4, kGroups = 2;

// Scores before the softmax of query head n, query q, token s, in no order.
double score(int64_t n, int64_t q, int64_t s) {
  return 3 * std::sin(static_cast<double>(7 * n + 11 * q * q + 13 * s * s + 5 * q * s));
}

// softmax over the tokens that are held and not later than q.
std::map<int64_t, double> attention(int64_t n, int64_t q, const Tokens& held) {
  std::map<int64_t, double> A;
  double sum = 0;
  for (const int64_t s : held)
    if (s <= q) sum += A[s] = std::exp(score(n, q, s));
  for (auto& [s, a] : A) a /= sum;
  return A;
}

// One head's choice in loops.
class Twin {
 public:
  Twin(CachePolicyName policy, const PolicySettings& settings, std::vector<int64_t> heads)
      : policy_(policy), settings_(settings), heads_(std::move(heads)) {}

  const Tokens& held() const { return held_; }

  // Tokens [begin, end) of a prompt that ends at `prompt_end`, or behind it.
  void pass(int64_t begin, int64_t end, int64_t prompt_end) {
    for (int64_t t = begin; t < end; ++t) held_.insert(t);
    for (int64_t q = begin; q < end; ++q) look(q, prompt_end);
    const bool over = end >= prompt_end;
    if (!over || (!settings_.every_step && end != prompt_end)) return;
    budget_ = settings_.budget.of(prompt_end, settings_.sinks + settings_.window);
    evict(end);
  }

 private:
  void look(int64_t q, int64_t prompt_end) {
    last_.clear();
    if (policy_ == a2sf || policy_ == h2o)
      for (auto& [s, sum] : sums_) sum *= settings_.alpha;
    for (const int64_t n : heads_)
      for (const auto& [s, a] : attention(n, q, held_)) {
        last_[s] += a;
        if (policy_ != snapkv || q >= prompt_end - settings_.window) sums_[s] += a;
      }
  }

  double value(int64_t s, int64_t end) {
    if (policy_ == window || policy_ == streaming) return static_cast<double>(s);
    if (policy_ == tova) return last_[s];
    if (policy_ == snapkv) return pooled(s, end);
    if (settings_.mean_per_query) return sums_[s] / static_cast<double>(end - s);
    return sums_[s];
  }

  double pooled(int64_t s, int64_t end) {
    const int64_t half = settings_.kernel / 2;
    double sum = 0, most = -1;
    for (int64_t i = s - half; i <= s + half; ++i) {
      if (i < 0 || i >= end - settings_.window) continue;
      sum += sums_[i];
      most = std::max(most, sums_[i]);
    }
    return settings_.pooling == ScorePooling::max ? most : sum / static_cast<double>(settings_.kernel);
  }

  void evict(int64_t end) {
    const int64_t newest = settings_.recent < 0 ? budget_ / 2 : settings_.recent + settings_.window;
    Tokens kept;
    for (const int64_t s : held_)
      if (s < settings_.sinks || s >= end - newest) kept.insert(s);
    std::vector<int64_t> others;
    for (const int64_t s : held_)
      if (!kept.contains(s)) others.push_back(s);
    std::stable_sort(others.begin(), others.end(),
                     [&](int64_t a, int64_t b) { return value(a, end) > value(b, end); });
    for (const int64_t s : others)
      if (std::ssize(kept) < budget_) kept.insert(s);
    held_ = kept;
    for (auto it = sums_.begin(); it != sums_.end();) it = held_.contains(it->first) ? ++it : sums_.erase(it);
  }

  CachePolicyName policy_;
  PolicySettings settings_;
  std::vector<int64_t> heads_;
  int64_t budget_ = 0;
  Tokens held_;
  std::map<int64_t, double> sums_, last_;
};

// Rows of a batch on one layer's state, each padded on the left.
class Batch {
 public:
  Batch(const PolicyConfig& config, std::vector<int64_t> padding)
      : padding_(std::move(padding)),
        state_({{.name = "k", .width = kGroups, .heads = kGroups, .of_kv_heads = true}}, std::ssize(padding_),
               200, torch::kFloat64, 0, make_cache_plan({.policy = config}), kHeads) {}

  void pass(int64_t T, int64_t to_come) {
    const int64_t B = std::ssize(padding_), begin = state_.length();
    const Sequence sequence(
        {.begin = begin, .T = T, .padding_B1 = torch::tensor(padding_).unsqueeze(1), .to_come = to_come});
    state_.begin(sequence);
    state_.remember(0, torch::zeros({B, kGroups, T, 1}, torch::kFloat64));
    const auto places = held_columns(begin + T), valid = held_valid(begin + T);
    if (state_.wants_attention())
      state_.look({.B = B,
                   .N = kHeads,
                   .T = T,
                   .S = places.size(2),
                   .weights = [=, this](int64_t first, int64_t count) {
                     return weights(places, valid, begin + first, count);
                   }});
    state_.settle(sequence);
  }

  // Of a head, counted from the row's first token.
  Tokens held(int64_t row, int64_t head) const {
    const int64_t columns = state_.length();
    const auto places = held_columns(columns)[row], valid = held_valid(columns)[row];
    const int64_t h = std::min<int64_t>(head, places.size(0) - 1);
    Tokens tokens;
    for (int64_t i = 0; i < places.size(1); ++i)
      if (valid[h][i].item<bool>())
        tokens.insert(places[h][i].item<int64_t>() - padding_[static_cast<size_t>(row)]);
    return tokens;
  }

 private:
  torch::Tensor held_columns(int64_t columns) const {
    if (state_.places().defined()) return state_.places();
    return torch::arange(columns).expand({std::ssize(padding_), 1, columns});
  }
  torch::Tensor held_valid(int64_t columns) const {
    if (state_.places().defined()) return state_.valid();
    return held_columns(columns) >= torch::tensor(padding_).view({-1, 1, 1});
  }
  torch::Tensor weights(const torch::Tensor& places, const torch::Tensor& valid, int64_t first,
                        int64_t count) const {
    const int64_t B = places.size(0), h = places.size(1), S = places.size(2);
    auto A = torch::zeros({B, kHeads, count, S}, torch::kFloat64);
    for (int64_t b = 0; b < B; ++b)
      for (int64_t n = 0; n < kHeads; ++n) {
        const int64_t g = n * h / kHeads, padding = padding_[static_cast<size_t>(b)];
        Tokens held;
        for (int64_t i = 0; i < S; ++i)
          if (valid[b][g][i].item<bool>()) held.insert(places[b][g][i].item<int64_t>() - padding);
        for (int64_t t = 0; t < count; ++t) {
          const auto of_query = attention(n, first + t - padding, held);
          for (int64_t i = 0; i < S; ++i)
            if (const auto found = of_query.find(places[b][g][i].item<int64_t>() - padding);
                found != of_query.end() && valid[b][g][i].item<bool>())
              A[b][n][t][i] = found->second;
        }
      }
    return A;
  }

  std::vector<int64_t> padding_;
  LayerState state_;
};

std::vector<int64_t> heads_of(ChoiceOf choice, int64_t head) {
  if (choice == ChoiceOf::query_head) return {head};
  if (choice == ChoiceOf::token) return {0, 1, 2, 3};
  return head == 0 ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{2, 3};
}

int64_t choices(ChoiceOf choice) {
  return choice == ChoiceOf::query_head ? kHeads : choice == ChoiceOf::token ? 1 : kGroups;
}

std::vector<PolicyConfig> policies() {
  return {{.policy = window, .budget = 7},
          {.policy = streaming, .budget = 9, .sinks = 3},
          {.policy = streaming, .source = PolicySource::kvpress, .share = 0.4, .sinks = 2},
          {.policy = h2o, .budget = 8},
          {.policy = h2o, .share = 0.5, .sinks = 1, .recent = 3},
          {.policy = h2o, .source = PolicySource::kvpress, .share = 0.4},
          {.policy = a2sf, .budget = 7, .alpha = 0.3},
          {.policy = a2sf, .share = 0.6, .recent = 2, .alpha = 0.95},
          {.policy = a2sf, .budget = 6, .alpha = 0.0},
          {.policy = tova, .budget = 6},
          {.policy = tova, .source = PolicySource::kvpress, .share = 0.5},
          {.policy = snapkv, .budget = 11, .window = 5, .kernel = 3},
          {.policy = snapkv, .source = PolicySource::kvpress, .share = 0.6, .window = 4},
          {.policy = snapkv, .source = PolicySource::official, .budget = 9, .window = 3}};
}

// What a prompt of 20 - padding tokens in passes, then steps of one and of three tokens, must leave.
void check_against_twin(const PolicyConfig& config, const std::vector<int64_t>& padding,
                        const std::vector<int64_t>& pieces) {
  const auto policy = make_cache_plan({.policy = config}).policy;
  Batch batch(config, padding);
  std::vector<std::vector<Twin>> twins(padding.size());
  for (auto& of_row : twins)
    for (int64_t head = 0; head < choices(policy->choice_of()); ++head)
      of_row.emplace_back(config.policy, policy_settings(config, 0), heads_of(policy->choice_of(), head));
  const int64_t prompt = 20;
  int64_t column = 0;
  const auto pass = [&](int64_t T) {
    batch.pass(T, std::max<int64_t>(prompt - column - T, 0));
    for (size_t row = 0; row < padding.size(); ++row)
      for (auto& twin : twins[row])
        twin.pass(std::max<int64_t>(column - padding[row], 0), std::max<int64_t>(column + T - padding[row], 0),
                  prompt - padding[row]);
    column += T;
  };
  const auto compare = [&] {
    for (size_t row = 0; row < padding.size(); ++row)
      for (size_t head = 0; head < twins[row].size(); ++head) {
        INFO(name_of(config.policy) << " of " << name_of(config.source) << ", row " << row << ", head " << head
                                    << ", " << column << " columns");
        CHECK(batch.held(static_cast<int64_t>(row), static_cast<int64_t>(head)) == twins[row][head].held());
      }
  };
  for (const int64_t T : pieces) pass(T);
  REQUIRE(column == prompt);
  compare();
  for (const int64_t T : {1, 1, 3, 1}) {
    pass(T);
    compare();
  }
}

TEST_CASE("each policy keeps the tokens that its paper says, for each head that chooses") {
  for (const auto& config : policies()) check_against_twin(config, {0}, {20});
}

TEST_CASE("rows of different lengths choose as each does alone, prompts whole or in pieces") {
  for (const auto& config : policies())
    for (const auto& pieces : std::vector<std::vector<int64_t>>{{20}, {7, 7, 6}, {18, 1, 1}})
      check_against_twin(config, {0, 9, 4, 17}, pieces);
}

TEST_CASE("of equal scores the earlier token stays") {
  LayerState state({{.name = "k", .width = 1}}, 1, 30, torch::kFloat32, 0,
                   make_cache_plan({.policy = {.policy = tova, .budget = 4}}));
  state.remember(0, torch::zeros({1, 10, 1}));
  state.look({.B = 1, .N = 1, .T = 10, .S = 10, .weights = [](int64_t, int64_t count) {
                auto A = torch::full({1, 1, count, 10}, 0.1);
                A.select(3, 8).fill_(0.5);
                return A;
              }});
  state.settle(Sequence({.T = 10}));
  CHECK(torch::equal(state.places().flatten(), torch::tensor(std::vector<int64_t>{0, 1, 2, 8})));
}

TEST_CASE("nothing leaves while a budget is not full, and no places are told") {
  LayerState state({{.name = "k", .width = 1}}, 1, 30, torch::kFloat32, 0,
                   make_cache_plan({.policy = {.policy = streaming, .budget = 12}}));
  const auto pass = [&](int64_t begin, int64_t T) {
    const Sequence sequence({.begin = begin, .T = T});
    state.begin(sequence);
    state.remember(0, torch::zeros({1, T, 1}));
    state.settle(sequence);
  };
  pass(0, 11);
  CHECK_FALSE(state.places().defined());
  pass(11, 1);
  CHECK_FALSE(state.places().defined());
  pass(12, 1);
  CHECK(state.kept() == 12);
  CHECK(state.places().flatten()[4].item<int64_t>() == 5);
  CHECK(state.positions().flatten()[4].item<int64_t>() == 4);
  CHECK(state.turned().flatten()[4].item<int64_t>() == 5);
}

}  // namespace
}  // namespace attnlab::test
