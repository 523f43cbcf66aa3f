// Ranks from a size of the cache.
#include "attention/cache_fit.h"

#include "attention/gqa.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

const AttentionShape shape{37, 6, 2, 10};  // 40 numbers a token and layer

TEST_CASE("a form fitted to a cache keeps no more than it, whatever its options, and the options stay") {
  for (const auto& variant : all_variants()) {
    if (variant_problem(shape, variant)) continue;
    for (const int64_t numbers : {12, 20, 33, 40}) {
      INFO(label(variant) << ", " << numbers);
      VariantConfig fitted = variant;
      if (fit_to_cache(fitted, shape, numbers)) continue;
      CHECK_FALSE(variant_problem(shape, fitted));
      CHECK(variant_cache(shape, fitted) <= numbers);
    }
  }
  VariantConfig balanced = MlaOrthogonal::Config{.split = SingularSplit::left};
  REQUIRE_FALSE(fit_to_cache(balanced, shape, 20));
  CHECK(balanced.get<MlaOrthogonal>().rank == 5);
  CHECK(balanced.get<MlaOrthogonal>().split == SingularSplit::left);
}

TEST_CASE("a cache that a form can't have is refused by its key") {
  const auto refusal = [](VariantConfig config, int64_t numbers) {
    const auto problem = fit_to_cache(config, shape, numbers);
    return problem ? describe(*problem) : "accepted";
  };
  CHECK(refusal(Gqa::Config{}, 40) == "accepted");
  CHECK_THAT(refusal(Gqa::Config{}, 20),
             ContainsSubstring("cache: found 20 numbers") && ContainsSubstring("40 or more, which gqa needs"));
  CHECK_THAT(refusal(*variant_defaults("mla_deepseek"), 10),
             ContainsSubstring("cache: found 10 numbers") && ContainsSubstring("11 or more"));
  CHECK_THAT(refusal(MlaOrthogonal::Config{.rank = 3}, 20),
             ContainsSubstring("rank: found 3 beside cache") && ContainsSubstring("one of the two"));
}

}  // namespace
}  // namespace attnlab::test
