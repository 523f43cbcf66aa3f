#include <algorithm>
#include <cmath>

#include "results/measurements.h"
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::Ran;
using test::run_program;

constexpr const char* kServeSmall = "bench_serve --device cpu --shape small ";

}  // namespace

TEST_CASE("bench_serve answers every request, in each form, and says with what batch and how long") {
  for (const std::string form : {"gqa", "mla_absorbed", "linear_attention"}) {
    const test::TemporaryFolder folder;
    const auto file = folder.path() / "served.measured.h5";
    const Ran outcome = run_program(
        kServeSmall + ("--requests 9 --context 20 --context 33 --form " + form + " --out ") + file.string());
    INFO(outcome.out << outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, ContainsSubstring("| " + form + " | small | 20 | 9 | 9 (largest) |"));
    const auto rows = read_measurements(file).served;
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].output_tokens == 9 * 10);
    CHECK(rows[1].output_tokens == 9 * 17);  // behind prompts of 16
    for (const auto& row : rows) {
      CHECK(row.fits == 1);
      CHECK(row.found == 1);
      CHECK(row.memory_limit == 0);
      CHECK(row.seconds > 0);
      CHECK(row.tokens_per_second == static_cast<double>(row.output_tokens) / row.seconds);
      CHECK((0 < row.prefill_share && row.prefill_share < 1));
    }
  }
}

TEST_CASE("bench_serve lets as many requests in as a cap of memory has room for, on a CPU by count") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "served.measured.h5";
  // bfloat16: the weights (bench_decode_test.cpp); 64 places of 2 · 2 · 32 numbers, 20 tokens and 8 to spare.
  const double weights = 2 * (2 * (2 * 128 + 2 * 128 * 128 + 2 * 128 * 32 + 3 * 128 * 256) + 1025.0 * 128);
  const double row = 2.0 * 64 * 2 * 2 * 32;
  const auto limit = [&](double count) {
    return " --memory-limit " + std::to_string(static_cast<int>(std::ceil((weights + count * row) / 1024))) +
           "K";
  };
  const std::string command = kServeSmall + ("--form gqa --context 20 --requests 9 --out " + file.string() +
                                             limit(4) + limit(30) + limit(-1));
  const Ran outcome = run_program(command);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  const auto rows = read_measurements(file).served;
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].batch == 4);
  CHECK(rows[1].batch == 9);  // there are no more requests
  CHECK(rows[2].fits == 0);
  CHECK(std::isnan(rows[2].tokens_per_second));
  CHECK(rows[0].output_tokens == 90);
  CHECK_THAT(outcome.out, ContainsSubstring("| does not fit |"));

  const Ran resumed = run_program(command + " --resume");
  CHECK_THAT(resumed.out, !ContainsSubstring("| gqa |"));
  REQUIRE(run_program(command + " --batch 2").code == 0);
  const auto all = read_measurements(file).served;
  CHECK(all.size() == 6);
  CHECK(all.back().found == 0);
  CHECK(all.back().batch == 2);
}

TEST_CASE("bench_serve serves a model's folder, and refuses what it cannot measure in one line") {
  const Ran outcome = run_program("bench_serve --device cpu --requests 3 --context 16 --model " + test::base());
  INFO(outcome.err);
  CHECK_THAT(outcome.out, ContainsSubstring("| base_small | llama | 16 | 3 |"));
  const std::string gqa = std::string(kServeSmall) + "--form gqa ";
  check_refused("bench_serve --shape small", "--form: found '', expected one of mla_materialised");
  check_refused("bench_serve --shape small --model " + test::base(), "--model: found a folder beside --form");
  check_refused(gqa + "--context 1", "--context: found 1, expected a whole number from 2");
  check_refused(gqa + "--requests 0", "--requests: found 0");
  check_refused(gqa + "--batch=-1", "--batch: found -1");
  check_refused(gqa + "--pass-tokens 0", "--pass-tokens: found 0");
  check_refused(gqa + "--memory-limit all", "--memory-limit: found all");
  check_refused(gqa + "--memory-limit 24", "--memory-limit: found '24', expected a number and G, M or K (24G)");
  check_refused(gqa + "--resume", "the file that --resume goes on with");
  check_refused(gqa + "--out serve.h5", "--out: found 'serve.h5', expected a file to write, NAME.measured.h5");
}

}  // namespace attnlab
