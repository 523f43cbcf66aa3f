// How caches are kept while generating: which tokens stay (the policy) and in what form (the storage). Without
// torch.
#pragma once

#include <optional>

#include "core/errors.h"
#include "core/fields.h"
#include "state/layout.h"
#include "state/policy_config.h"
#include "state/storage_config.h"

namespace attnlab {

struct CacheConfig {
  PolicyConfig policy;
  StorageConfig storage;
  int64_t report_context = 4096;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PolicyConfig::fields(self.policy, visit);
    StorageConfig::fields(self.storage, visit);
    visit(
        Key{"report_context", "tokens of a sequence at which results tell the bytes that it keeps"}.at_least(1),
        self.report_context);
  }
};

// Why a cache can't be kept so, of the options alone. The key has no prefix.
std::optional<BadInput> cache_config_problem(const CacheConfig& config);
// Why a key has no effect beside the others; empty where it has one.
std::string why_idle(const CacheConfig& config, const std::string& key);

// One layer, for counting what it keeps.
struct KeptLayer {
  StateLayout layout;
  size_t layer = 0;     // its number in the model
  size_t n_layers = 1;  // of the model
  int64_t n_heads = 1;  // query heads
  int64_t d_model = 0;
  int64_t window = 0;         // StorageForm::window_of: tokens that are held for it; 0: all
  int64_t element_bytes = 2;  // of one number as it is computed; fixed slots are float32
};

// Bytes that the layer keeps for one sequence of `context` tokens, with all that policy and storage keep beside
// the numbers themselves.
double state_bytes(const CacheConfig& config, const KeptLayer& layer, int64_t context);

}  // namespace attnlab
