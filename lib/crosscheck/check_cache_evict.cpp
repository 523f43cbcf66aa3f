// Policies that drop tokens, on a whole model: a prompt, then given tokens one by one.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/names.h"
#include "crosscheck/check_cache.h"
#include "model/padded_batch.h"
#include "state/policy.h"

namespace attnlab {
namespace {

using enum CachePolicyName;

const std::map<std::string, CachePolicyName>& methods() {
  static const std::map<std::string, CachePolicyName> known{{"full cache", all}, {"streaming_llm", streaming},
                                                            {"h2o", h2o},        {"h2o_observed", h2o},
                                                            {"a2sf", a2sf},      {"tova", tova},
                                                            {"snapkv", snapkv}};
  return known;
}

// A case's parameters. What is not asked for remains, and is not known.
class Parameters {
 public:
  explicit Parameters(const CaseFile& file) : json_(file.facts.value("params", nlohmann::json::object())) {
    for (const auto& [key, value] : json_.items()) unread_.insert(key);
  }
  template <class T>
  std::optional<T> get(const std::string& key) {
    unread_.erase(key);
    const auto found = json_.find(key);
    return found == json_.end() ? std::nullopt : std::optional(found->get<T>());
  }
  // The first of the keys that is there.
  template <class T>
  std::optional<T> any(std::initializer_list<const char*> keys) {
    std::optional<T> value;
    for (const char* key : keys)
      if (auto found = get<T>(key); found && !value) value = found;
    return value;
  }
  const std::set<std::string>& unread() const { return unread_; }

 private:
  nlohmann::json json_;
  std::set<std::string> unread_;
};

struct Asked {
  PolicyConfig policy;
  bool one_by_one = false;  // the prompt goes token by token
};

void read_budget(Parameters& p, PolicyConfig& policy, int64_t T) {
  const auto recent = p.get<int64_t>("recent");
  const auto chosen = p.any<int64_t>({"heavy", "select"});
  policy.budget = p.any<int64_t>({"total", "size", "total_budget", "max_capacity_prompt"});
  // `total` says what it came to, where it is there.
  if (const auto ratio = p.get<double>("compression_ratio"); ratio && !policy.budget)
    policy.budget = static_cast<int64_t>(static_cast<double>(T) * (1 - *ratio));
  if (policy.policy == streaming) {
    policy.sinks = p.any<int64_t>({"sink"}).value_or(0);
    if (recent) policy.budget = *policy.sinks + *recent;
    return;
  }
  if (const auto sinks = p.get<int64_t>("sink"); sinks && *sinks > 0) policy.sinks = sinks;
  if (chosen) policy.budget = *chosen + recent.value_or(0);
  if (recent) policy.recent = recent;
}

void read_choice(Parameters& p, const std::string& method, Asked& asked) {
  PolicyConfig& policy = asked.policy;
  policy.alpha = p.any<double>({"forgetting_factor", "forget"});
  policy.window = p.get<int64_t>("window");
  policy.kernel = p.get<int64_t>("kernel");
  if (policy.policy == snapkv)
    policy.pooling = p.get<std::string>("pooling").value_or("avgpool") == "maxpool" ? ScorePooling::max
                                                                                    : ScorePooling::average;
  if (p.get<bool>("per_query_head").value_or(false)) policy.source = PolicySource::official;
  if (p.get<std::string>("last_token").value_or("") == "always kept") policy.recent = 1;
  if (method == "h2o_observed") {
    policy.source = PolicySource::kvpress;
    p.get<std::string>("score");
  }
  // Sums and means over the same heads, and over the same queries, choose alike.
  for (const char* key : {"group_reduce", "query_reduce"}) p.get<std::string>(key);
}

Asked read_case(const CaseFile& file, Parameters& p) {
  const std::string method = method_of(file), positions = file.facts.value("positions", "original");
  Asked asked{.policy = {.policy = methods().at(method)}};
  read_budget(p, asked.policy, file.tensor("input_ids", torch::kInt64).numel());
  read_choice(p, method, asked);
  const bool reindexed = p.get<bool>("reindex").value_or(positions.starts_with("reindexed"));
  asked.policy.positions = reindexed ? CachePositions::reindexed : CachePositions::original;
  asked.policy.every_step = !p.get<bool>("once").value_or(false);
  asked.one_by_one = p.get<std::string>("prompt").value_or("").starts_with("one token at a time");
  return asked;
}

// Remembers by what a layer's tokens were ranked when they first left.
class Recorder final : public CachePolicy {
 public:
  explicit Recorder(std::shared_ptr<const CachePolicy> policy) : policy_(std::move(policy)) {}
  ChoiceOf choice_of() const override { return policy_->choice_of(); }
  bool wants_attention() const override { return policy_->wants_attention(); }
  bool reindexes() const override { return policy_->reindexes(); }
  KeptTokens choose(const HeldTokens& held, torch::Tensor& scores_BhS) const override {
    auto kept = policy_->choose(held, scores_BhS);
    if (!first_ranked_.defined() && kept.ranked_BhS.defined()) first_ranked_ = kept.ranked_BhS.clone();
    return kept;
  }
  int64_t held_at(int64_t context) const override { return policy_->held_at(context); }
  int64_t scores_per_token() const override { return policy_->scores_per_token(); }
  const torch::Tensor& first_ranked() const { return first_ranked_; }

 private:
  std::shared_ptr<const CachePolicy> policy_;
  mutable torch::Tensor first_ranked_;
};

// int64 [heads, n]: the columns that the first row of a layer holds.
torch::Tensor held_by(const LayerState& state) {
  if (!state.places().defined()) return torch::arange(state.length()).unsqueeze(0);
  const auto places_hS = state.places()[0], valid_hS = state.valid()[0];
  std::vector<torch::Tensor> rows;
  for (int64_t head = 0; head < places_hS.size(0); ++head)
    rows.push_back(places_hS[head].masked_select(valid_hS[head]));
  return torch::stack(rows);
}

// A choice for all heads stands once here, and for each KV head in some cases.
torch::Tensor as_many_rows(const torch::Tensor& x_hS, const torch::Tensor& like_GS) {
  return x_hS.size(0) == 1 ? x_hS.expand({like_GS.size(0), -1}) : x_hS;
}

// The model under a plan: logits behind the prompt, then of each given token.
class Run {
 public:
  Run(Decoder& decoder, const CaseFile& file, const CachePlan& plan, bool one_by_one)
      : tokens_(file.tensor("tokens", torch::kInt64)),
        batch_(decoder, {first_part(file, one_by_one)}, prompt_of(file).numel() + tokens_.numel(),
               prompt_of(file).numel(), plan) {
    prefill_V_ = batch_.prefill()[0];
    const auto prompt = prompt_of(file);
    if (one_by_one)
      for (int64_t i = 1; i < prompt.numel(); ++i) prefill_V_ = batch_.step(prompt.narrow(0, i, 1))[0];
  }
  torch::Tensor prefill_logits() const { return prefill_V_; }
  int64_t steps() const { return tokens_.numel(); }
  torch::Tensor step(int64_t i) { return batch_.step(tokens_.narrow(0, i, 1))[0]; }
  torch::Tensor held(int64_t layer) const { return held_by(batch_.states().at(static_cast<size_t>(layer))); }

 private:
  static torch::Tensor prompt_of(const CaseFile& file) {
    return file.tensor("input_ids", torch::kInt64).flatten();
  }
  static std::vector<int64_t> first_part(const CaseFile& file, bool one_by_one) {
    const auto ids = prompt_of(file);
    return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + (one_by_one ? 1 : ids.numel())};
  }

  torch::Tensor tokens_;
  PaddedBatch batch_;
  torch::Tensor prefill_V_;
};

void compare_held(CaseCheck& check, const CaseFile& file, const std::string& name, const torch::Tensor& ours_hS,
                  std::optional<int64_t> step = std::nullopt) {
  if (!file.has(name)) return;
  auto expected_GS = file.tensor(name, torch::kInt64);
  if (step) expected_GS = expected_GS[*step];
  check.equal(step ? fmt::format("{} {}", name, *step) : name, as_many_rows(ours_hS, expected_GS), expected_GS);
}

void compare_steps(CaseCheck& check, const CaseFile& file, Run& run, int64_t n_layers) {
  const auto of_layers = [&](const char* name, std::optional<int64_t> step) {
    for (int64_t layer = 0; layer < n_layers; ++layer)
      compare_held(check, file, fmt::format("{}/{}", name, layer), run.held(layer), step);
  };
  check.compare("prefill_logits", run.prefill_logits(), file.tensor("prefill_logits"), logits_allowed(file));
  of_layers("keep", std::nullopt);
  of_layers("held_steps", 0);
  std::vector<torch::Tensor> logits;
  for (int64_t i = 0; i < run.steps(); ++i) {
    logits.push_back(run.step(i));
    of_layers("held_steps", i + 1);
  }
  of_layers("held", std::nullopt);
  check.compare("logits", torch::stack(logits), file.tensor("logits"), logits_allowed(file));
}

// Scores are sums over up to T queries of probabilities with float32 angles: 1e-4 of the largest is some
// hundred times their rounding. Some are means over heads or queries where ours are sums: a common factor is
// left free. The last `forced` tokens stay whatever their scores, and some codes write another number there.
void compare_scores(CaseCheck& check, const CaseFile& file,
                    const std::vector<std::shared_ptr<Recorder>>& recorders, int64_t forced) {
  for (size_t layer = 0; layer < recorders.size(); ++layer) {
    const auto name = fmt::format("score/{}", layer);
    const auto& ranked_BhS = recorders[layer]->first_ranked();
    if (!file.has(name) || !ranked_BhS.defined()) continue;
    const auto given_GS = file.tensor(name);
    const int64_t columns = std::min(given_GS.size(1), ranked_BhS.size(2) - forced);
    const auto expected_GS = given_GS.narrow(1, 0, columns);
    const auto ours_GS = as_many_rows(ranked_BhS[0].narrow(1, 0, columns).to(torch::kFloat64), expected_GS);
    check.compare(name, ours_GS * (expected_GS.sum() / ours_GS.sum()), expected_GS, {.relative = 1e-4});
  }
}

void compare_full_cache(CaseCheck& check, const CaseFile& file, Decoder& decoder) {
  if (!file.has("full_cache_logits")) return;
  Run run(decoder, file, {}, false);
  std::vector<torch::Tensor> logits;
  for (int64_t i = 0; i < run.steps(); ++i) logits.push_back(run.step(i));
  check.compare("full_cache_logits", torch::stack(logits), file.tensor("full_cache_logits"),
                logits_allowed(file));
}

}  // namespace

std::string method_of(const CaseFile& file) {
  constexpr std::string_view on_latent = " on an MLA latent cache";
  std::string method = file.facts.value("method", "");
  if (method.ends_with(on_latent)) method.resize(method.size() - on_latent.size());
  return method;
}

bool is_eviction(const CaseFile& file) { return methods().contains(method_of(file)); }

void check_eviction(const CaseFile& file, CaseCheck& check) {
  Parameters parameters(file);
  const Asked asked = read_case(file, parameters);
  if (!parameters.unread().empty())
    return check.not_checked(fmt::format("the parameter {} is not known", *parameters.unread().begin()));
  if (const auto problem = policy_config_problem(asked.policy)) return check.not_checked(describe(*problem));
  const auto decoder = model_of(file);
  if (!decoder) return check.not_checked(fmt::format("no folder {} here", file.text("model")));
  const torch::NoGradGuard no_grad;
  const int64_t n_layers = decoder->config().n_layers;
  CachePlan plan = make_cache_plan({.policy = asked.policy});
  std::vector<std::shared_ptr<Recorder>> recorders;
  if (!plan.keeps_all())
    for (int64_t layer = 0; layer < n_layers; ++layer) {
      recorders.push_back(std::make_shared<Recorder>(plan.policy));
      plan.layer_policies.push_back(recorders.back());
    }
  Run run(*decoder, file, plan, asked.one_by_one);
  compare_steps(check, file, run, n_layers);
  compare_scores(check, file, recorders, asked.policy.policy == tova ? asked.policy.recent.value_or(0) : 0);
  compare_full_cache(check, file, *decoder);
}

}  // namespace attnlab
