// measure_caches as a user calls it.
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "results/measurements.h"
#include "run_program.h"

namespace attnlab::test {
namespace {

// Two models that are one, asked little.
struct CachesCall {
  TemporaryFolder folder;
  std::string config = (folder.path() / "study.yaml").string();
  std::string out = (folder.path() / "x.measured.h5").string();

  explicit CachesCall(const std::string& sets, const std::string& more = "") {
    write_file_atomic(config, fmt::format(R"(study: small
models:
  - {{name: one, path: {0}}}
  - {{name: two, path: {0}}}
sets: {1}
tasks:
  - {{task: passkey, words: 20, size: 2, max_new_tokens: 8}}
  - {{task: word_problems, size: 2, shots: 0, max_new_tokens: 8}}
texts: 2
text_tokens: 96
text_scored: 8
time_context: 64
time_steps: 2
{2})",
                                          base(), sets, more));
  }
  std::string with(const std::string& options) const {
    return "measure_caches --device cpu --config " + config + " --out " + out + " " + options;
  }
  void refused(const std::string& options, const std::string& message) const {
    check_refused(with(options), message);
    CHECK_FALSE(std::filesystem::exists(out));
  }
};

constexpr const char* kSets =
    "[{policies: [{policy: all}, {policy: h2o}], shares: [0.5], storages: [{storage: dense}, {storage: int8}]},"
    " {policies: [{policy: streaming, behind: context}, {policy: all}], shares: [0.5], models: [two]},"
    " {policies: [{policy: lazyllm}], shares: [0.512], models: [two]}]";

TEST_CASE("measure_caches measures every way of each model once, with the bytes that its tensors take") {
  const CachesCall call(kSets);
  const Ran outcome = run_program(call.with(""));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto measured = read_measurements(call.out);
  std::map<std::string, int> rows;
  for (const CacheRow& row : measured.caches) {
    INFO(row.arm << ", " << row.settings << ", " << row.measure);
    ++rows[row.arm + ": " + row.settings];
    CHECK(row.study == "small");
    CHECK(row.low <= row.value);
    CHECK(row.value <= row.high);
    CHECK(row.held_ratio == 1);  // float32 behind 96 tokens
    CHECK(std::isnan(row.ms_per_token) == (row.policy == "lazyllm"));
    CHECK(row.bytes_4k < row.bytes_16k);
    if (row.settings.empty()) CHECK(row.bytes_4k == 4096 * 768 * 2);
  }
  CHECK(rows == std::map<std::string, int>{{"one: ", 3},
                                           {"one: storage: int8", 3},
                                           {"one: policy: h2o, share: 0.5", 3},
                                           {"one: policy: h2o, share: 0.5, storage: int8", 3},
                                           {"two: ", 3},
                                           {"two: storage: int8", 3},
                                           {"two: policy: h2o, share: 0.5", 3},
                                           {"two: policy: h2o, share: 0.5, storage: int8", 3},
                                           {"two: policy: streaming, behind: context, share: 0.5", 1},
                                           {"two: policy: lazyllm, prune_share: 0.2", 3}});
}

TEST_CASE("every policy with every storage takes the bytes that are counted") {
  const CachesCall call(
      "[{policies: [{policy: all}, {policy: window}, {policy: streaming}, {policy: h2o}, {policy: tova}, "
      "{policy: a2sf},"
      " {policy: snapkv, window: 8}, {policy: h2o, source: kvpress}], shares: [0.3], models: [one],"
      " storages: [{storage: dense}, {storage: int8}, {storage: int4}, {storage: fp8}, {storage: kivi, "
      "residual: 32}]},"
      " {policies: [{policy: lazyllm}], models: [one]}]");
  const Ran outcome = run_program(call.with("--no-times --set tasks=[] --set texts=1"));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto measured = read_measurements(call.out);
  CHECK(measured.caches.size() == 41);
  for (const CacheRow& row : measured.caches) {
    INFO(row.settings);
    CHECK(row.held_ratio == 1);
    CHECK(std::isfinite(row.value));
  }
}

TEST_CASE("measure_caches goes on behind the rows of a call before, and times by itself") {
  const CachesCall call("[{storages: [{storage: dense}, {storage: int4}], models: [one]}]");
  REQUIRE(run_program(call.with("--no-times")).code == 0);
  auto measured = read_measurements(call.out);
  REQUIRE(measured.caches.size() == 6);
  for (CacheRow& row : measured.caches) {
    CHECK(std::isnan(row.ms_per_token));
    row.n = 77;  // not measured again
  }
  measured.caches.resize(3);
  write_measurements(call.out, measured);
  REQUIRE(run_program(call.with("--times")).code == 0);
  CHECK(read_measurements(call.out).caches.size() == 3);
  REQUIRE(run_program(call.with("")).code == 0);
  measured = read_measurements(call.out);
  REQUIRE(measured.caches.size() == 6);
  for (size_t i = 0; i < 6; ++i) {
    CHECK((measured.caches[i].n == 77) == (i < 3));
    CHECK(measured.caches[i].ms_per_token > 0);
  }
  check_refused(call.with("--set texts=1"), "rows of another study");
  check_refused(call.with("--dtype bfloat16"), "rows of another dtype");
  measured.caches.resize(3);
  for (auto& [key, value] : measured.provenance)
    if (key == "one.weights_sha256") value = std::string(64, '0');
  write_measurements(call.out, measured);
  check_refused(call.with(""), "one.weights_sha256: found rows of weights 000000000000…");
  CHECK(read_measurements(call.out).caches.size() == 3);
}

TEST_CASE("measure_caches prints the ways that there are") {
  const CachesCall call(kSets);
  const Ran outcome = run_program(call.with("--dry-run"));
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("one: 4 ways") && ContainsSubstring("two: 6 ways"));
  CHECK_FALSE(std::filesystem::exists(call.out));
}

TEST_CASE("measure_caches refuses what can't be, before it loads a model") {
  const auto refused = [](const std::string& sets, const std::string& message,
                          const std::string& options = "") { CachesCall(sets).refused(options, message); };
  refused("[{models: [tow]}]", "sets.models: found 'tow' (did you mean 'two'?), expected of one, two");
  refused("[{policies: [{policy: snapkv}], shares: [1.5]}]", "at most 1");
  refused("[{policies: [{policy: snapkv, budget: 5}]}]",
          "found 5 (one: policy: snapkv, budget: 5), expected at least 32");
  refused("[{storages: [{storage: kvquant}]}]", "kvquant has no levels without");
  refused("[{storages: [{storage: int4, group: 5}]}]", "found 5");
  refused("[{policies: [{policy: h2o}], shares: [0.5], storages: [{storage: minicache}]}]", "minicache");
  refused("[{}]", "--model: found 'three'", "--model three");
  refused("[{}]", "text_scored", "--set text_scored=96");
  refused("[{}]", "tasks.code_functions", "--set 'tasks=[{task: code_functions}]'");
  refused("[{}]", "did you mean 'sets'", "--set set=1");
}

}  // namespace
}  // namespace attnlab::test
