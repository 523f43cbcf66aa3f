#include "experiment/run/run_ranks.h"

#include "catch.h"

namespace attnlab {
namespace {

TEST_CASE("a run's file says which ranks made which steps") {
  FlatFields facts;
  add_ranks(facts, 1, {});
  CHECK(facts.empty());
  const auto says = [&] { return std::get<std::string>(facts.back().second); };
  add_ranks(facts, 201, {"a", "a", "b"});
  CHECK(says() == "from step 1: 1; from step 201: 3 (2 on a, 1 on b)");
  add_ranks(facts, 301, {"a", "a", "b"});
  CHECK(says() == "from step 1: 1; from step 201: 3 (2 on a, 1 on b)");
  add_ranks(facts, 401, {});
  CHECK(says() == "from step 1: 1; from step 201: 3 (2 on a, 1 on b); from step 401: 1");
  add_ranks(facts, 251, {"c", "c"});  // a state that is older than what was said
  CHECK(says() == "from step 1: 1; from step 201: 3 (2 on a, 1 on b); from step 251: 2 (2 on c)");
  CHECK(facts.size() == 1);
}

}  // namespace
}  // namespace attnlab
