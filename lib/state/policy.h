// Which tokens stay in a cache. A policy is one class and one row in policy_config.h's table; it holds no state
// of its own, so that all rows and passes share one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/errors.h"
#include "state/cache_config.h"
#include "state/sequence.h"
#include "state/storage.h"
#include "tensor/torch.h"

namespace attnlab {

// How the queries of a pass looked at the held tokens, for policies that judge by attention.
struct Looked {
  int64_t B = 0, N = 0, T = 0, S = 0;  // rows, query heads, queries of the pass, tokens that are held
  // softmax(score(q, k)) of `count` queries from the `first` on over all held tokens, [B, N, count, S], in
  // float32 at least. Computed when it is asked for.
  std::function<torch::Tensor(int64_t first, int64_t count)> weights;
};

// The tokens that a layer holds behind a pass. h: KV heads (or query heads) where the policy says for each what
// stays, else 1.
struct HeldTokens {
  torch::Tensor places_BhS;  // int64: the columns they stand in, in the order in which they are held
  torch::Tensor valid_BhS;   // bool: no padding, and no gap that shorter rows fill
  int64_t appended = 0;      // the last so many came with this pass
  const Sequence& sequence;
  const std::optional<Looked>& looked;  // where the policy wants it
  // The pass belongs to the prompt that the rows began with (its end, unless sequence.goes_on()).
  bool in_prompt = false;
  std::span<const int64_t> prompt_tokens = {};  // of each row; empty while the prompt goes on
};

// What stays. `most`: no head keeps more than so many, if the policy knows; -1: it must be looked up, which
// waits for the device.
struct KeptTokens {
  torch::Tensor stays_BhS;  // bool; undefined: all
  int64_t most = -1;
  torch::Tensor ranked_BhS = {};  // by what tokens were ranked, if by scores
};

// For whom a policy says what stays.
enum class ChoiceOf {
  token,       // all heads keep the same
  kv_head,     // each KV head by itself; only where a cache is divided into KV heads
  any_head,    // each KV head by itself where there are several, else all heads together
  query_head,  // each query head by itself: keys and values are kept once for each
};

class CachePolicy {
 public:
  virtual ~CachePolicy() = default;
  // Nothing is ever dropped: no places are kept track of.
  virtual bool keeps_all() const { return false; }
  virtual ChoiceOf choice_of() const { return ChoiceOf::token; }
  // It judges by attention.
  virtual bool wants_attention() const { return false; }
  // Keys and queries turn by their place among the held tokens, not by that in the text.
  virtual bool reindexes() const { return false; }
  // Behind each pass (while a prompt goes on in pieces, too: sequence.goes_on()): which tokens stay.
  // `scores_BhS`: numbers of the policy's own, one for each held token; undefined before it sets them; they go
  // and stay with their tokens, 0 for new ones.
  virtual KeptTokens choose(const HeldTokens& held, torch::Tensor& scores_BhS) const = 0;
  // Tokens held behind a prompt of `context` tokens.
  virtual int64_t held_at(int64_t context) const = 0;
  // Numbers of its own (float32) that it keeps for each held token of a head behind a prompt.
  virtual int64_t scores_per_token() const { return 0; }
};

// Keeps every token.
std::shared_ptr<const CachePolicy> keep_all();

// How a model's caches are kept.
struct CachePlan {
  std::shared_ptr<const CachePolicy> policy = keep_all();
  StoragePlan storage = dense_storage();
  // What a later token reads is what was computed, of all tokens: predictions need no cache to be right.
  bool as_computed = true;
  // Instead of `policy`, where layers differ: one for each.
  std::vector<std::shared_ptr<const CachePolicy>> layer_policies = {};
  bool behind_context =
      false;  // what is done behind a prompt is done behind its context (PolicyConfig::behind)
  // Tokens leave layers (model/lazy_batch.h).
  std::optional<PruneSchedule> pruning = {};

  const std::shared_ptr<const CachePolicy>& policy_of(size_t layer) const {
    return layer_policies.empty() ? policy : layer_policies.at(layer);
  }
  bool keeps_all() const { return layer_policies.empty() && policy->keeps_all(); }
};
// `config` must have no problem (cache_config_problem).
CachePlan make_cache_plan(const CacheConfig& config);
// state_bytes (cache_config.h) under a plan.
double plan_bytes(const CachePlan& plan, const KeptLayer& layer, int64_t context);

// For how many heads apart a policy chooses in a layer with N query heads; and how many times the layer keeps
// what a KV head is (N / G for a choice by query head, else 1).
int64_t choice_heads(const CachePolicy& policy, const StateLayout& layout, int64_t N);
int64_t kept_copies(const CachePolicy& policy, const StateLayout& layout, int64_t N);

// Why a slot can't be stored so, if so. Keys as in storage_config.h.
std::optional<BadInput> storage_problem(const StorageForm& storage, const StateLayout& layout);

// Why layers can't share what they keep under the plan's policy, if so: they would keep different tokens.
std::optional<BadInput> sharing_problem(const StorageForm& storage, const CachePlan& plan);

// Why a layer that keeps this can't have the policy, if so: it has no cache, one that is not divided into
// heads, or keys that can't be turned anew. Key: "policy" or "positions".
std::optional<BadInput> policy_problem(const CachePolicy& policy, const StateLayout& layout);

}  // namespace attnlab
