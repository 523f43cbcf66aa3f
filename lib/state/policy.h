// Which tokens stay in a cache. A policy is one class and one row in cache_config.h's table; it holds no state
// of its own, so that all layers share one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/errors.h"
#include "state/cache_config.h"
#include "state/sequence.h"
#include "state/storage.h"
#include "tensor/torch.h"

namespace attnlab {

// Queries that looked at the held tokens in a pass, for policies that judge by attention. Weights of the new
// tokens are softmax(scale · q·k, capped) over the held ones where the mask admits them; attention_weights
// (attention/attend.h) makes them.
struct Looked {
  torch::Tensor q_BNTW, k_BGSW;  // in the space in which the layer attended; of an absorbed latent G = 1
  torch::Tensor mask_B1TS;       // as for attend
  double scale = 0, softcap = 0;
};

// The tokens that a layer holds behind a pass. h: KV heads where the policy says per head what stays, else 1.
struct HeldTokens {
  torch::Tensor places_BhS;  // int64: the columns they stand in, ascending
  torch::Tensor valid_BhS;   // bool: no padding, and no gap that shorter rows fill
  int64_t appended = 0;      // the last so many came with this pass
  const Sequence& sequence;
  const std::optional<Looked>& looked;  // where the policy wants it
};

class CachePolicy {
 public:
  virtual ~CachePolicy() = default;
  // Nothing is ever dropped: no places are kept track of.
  virtual bool keeps_all() const { return false; }
  // It says for each KV head what stays, so that a latent which all heads share can't have it.
  virtual bool by_head() const { return false; }
  // It judges by attention.
  virtual bool wants_attention() const { return false; }
  // Behind each pass (while a prompt goes on in pieces, too: sequence.goes_on()): which tokens stay, bool [B,
  // h, S]; undefined: all. `scores_BhS`: numbers of the policy's own, one for each held token; undefined before
  // it sets them; they go and stay with their tokens, 0 for new ones.
  virtual torch::Tensor choose(const HeldTokens& held, torch::Tensor& scores_BhS) const = 0;
  // Tokens held between passes, and bytes kept beside each, for a sequence of `context` tokens.
  virtual int64_t held_at(int64_t context) const = 0;
  virtual int64_t bytes_beside(int64_t /*heads*/) const { return 0; }
};

// Keeps every token.
std::shared_ptr<const CachePolicy> keep_all();

// How a model's caches are kept.
struct CachePlan {
  std::shared_ptr<const CachePolicy> policy = keep_all();
  StorageMaker storage = dense_storage;
  // What a later token reads is what was computed, of all tokens: predictions need no cache to be right.
  bool as_computed = true;
};
CachePlan make_cache_plan(const CacheConfig& config);

// Why a layer that keeps this can't have the policy, if so: it has no cache, or one that is not divided into
// heads. Key: "policy".
std::optional<BadInput> policy_problem(const CachePolicy& policy, const StateLayout& layout);

}  // namespace attnlab
