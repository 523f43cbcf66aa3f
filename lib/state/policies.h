// The policies that drop tokens, each in a file of its own (policy_<name>.cpp).
#pragma once

#include <memory>

#include "state/policy.h"
#include "state/policy_config.h"

namespace attnlab {

// The first `sinks` tokens and the newest ones, in every layer and head alike. Without sinks a sliding window;
// with them StreamingLLM (arXiv 2309.17453), whose positions are places in the cache.
std::shared_ptr<const CachePolicy> newest_policy(const PolicySettings& settings);

// H2O (arXiv 2306.14048) and A2SF (arXiv 2407.20485): for KV head g, score_n[s] = Σ_{h of g} A[h, n, s] +
// α score_{n-1}[s] over queries n; α = 1 is H2O. The newest `recent` tokens stay whatever their score.
std::shared_ptr<const CachePolicy> column_sums_policy(const PolicySettings& settings);

// TOVA (arXiv 2401.06104): the last query's attention, over all heads.
std::shared_ptr<const CachePolicy> last_query_policy(const PolicySettings& settings);

// SnapKV (arXiv 2404.14469): behind the prompt, the attention of its last `window` queries, pooled along the
// tokens before them.
std::shared_ptr<const CachePolicy> snapkv_policy(const PolicySettings& settings);

// LazyLLM's part in a layer (model/lazy_batch.h): every token that the layer ran stays, and where it `looks`,
// the newest query's attention is left in the scores.
std::shared_ptr<const CachePolicy> layerwise_policy(bool looks);

}  // namespace attnlab
