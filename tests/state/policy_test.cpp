// Which layers can have which policy, and how bytes are counted.
#include "catch.h"
#include "every_second.h"
#include "state/layer_state.h"

namespace attnlab::test {
namespace {

std::string refusal(const CachePlan& plan, const StateLayout& layout) {
  const auto problem = policy_problem(*plan.policy, layout);
  return problem ? describe(*problem) : "accepted";
}

TEST_CASE("policies are refused where they can't be: by head on a shared latent, any on a fixed state") {
  const StateLayout by_head{{.name = "k", .width = 8, .heads = 2}, {.name = "v", .width = 8, .heads = 2}};
  const StateLayout shared{{.name = "kv_latent", .width = 8}};
  const StateLayout recurrent{{.name = "state", .width = 8, .extent = Extent::fixed}};
  CHECK(refusal(every_second(true), by_head) == "accepted");
  CHECK(refusal(every_second(false), by_head) == "accepted");
  CHECK(refusal(every_second(false), shared) == "accepted");
  CHECK_THAT(refusal(every_second(true), shared), ContainsSubstring("all heads of this layer read the same"));
  CHECK_THAT(refusal(every_second(false), recurrent), ContainsSubstring("a state of fixed size"));
  CHECK(refusal({}, recurrent) == "accepted");
}

TEST_CASE("bytes at a context: tokens as far as the layer sees, and fixed states in float32") {
  const KeptLayer attention{.layout = {{.name = "k", .width = 8, .heads = 2}, {.name = "v", .width = 8}},
                            .element_bytes = 2};
  CHECK(state_bytes({}, attention, 100) == 100 * 16 * 2);
  KeptLayer windowed = attention;
  windowed.window = 30;
  CHECK(state_bytes({}, windowed, 100) == 30 * 16 * 2);
  CHECK(state_bytes({}, windowed, 10) == 10 * 16 * 2);
  const KeptLayer recurrent{.layout = {{.name = "s", .width = 24, .extent = Extent::fixed}},
                            .element_bytes = 2};
  CHECK(state_bytes({}, recurrent, 100) == 24 * 4);
  CHECK(state_bytes({}, recurrent, 1) == 24 * 4);
}

TEST_CASE("a choice by query head needs keys and values of KV heads, and positions keys that can be turned") {
  const auto official =
      make_cache_plan({.policy = {.policy = CachePolicyName::snapkv, .source = PolicySource::official}});
  const StateLayout kv{{.name = "k", .width = 8, .heads = 1, .of_kv_heads = true}};
  const StateLayout latent{{.name = "kv_latent", .width = 8}};
  CHECK(refusal(official, kv) == "accepted");
  CHECK_THAT(refusal(official, latent), ContainsSubstring("keeps no keys and values of KV heads"));
  const auto streaming = make_cache_plan({.policy = {.policy = CachePolicyName::streaming}});
  CHECK(refusal(streaming, latent) == "accepted");
  CHECK_THAT(refusal(streaming, {{.name = "k", .width = 8, .rotated = 8, .own_frequencies = true}}),
             ContainsSubstring("positions: found reindexed"));
}

TEST_CASE("counted bytes are those that the tensors take") {
  const StateLayout layout{{.name = "k", .width = 8, .heads = 2}, {.name = "v", .width = 6}};
  LayerState state(layout, 1, 50, torch::kBFloat16);
  state.remember(0, torch::randn({1, 13, 8}));
  state.remember(1, torch::randn({1, 13, 6}));
  CHECK(static_cast<double>(state.bytes()) == state_bytes({}, {.layout = layout, .element_bytes = 2}, 13));
}

}  // namespace
}  // namespace attnlab::test
