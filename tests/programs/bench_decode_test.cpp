#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "printed_profile.h"
#include "results/measurements.h"
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::Ran;
using test::run_program;

constexpr const char* kSmall = "bench_decode --device cpu --steps 3 --shape small ";

// The rows of the table, cell by cell.
std::vector<std::vector<std::string>> rows_of(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| form")) continue;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(2));
    for (std::string cell; std::getline(parts, cell, '|');) cells.push_back(cell.substr(0, cell.find(' ', 1)));
    rows.push_back(cells);
  }
  return rows;
}

}  // namespace

TEST_CASE("bench_decode prints a row for each batch and context, in each form") {
  for (const std::string form : {"gqa", "mla_materialised", "mla_absorbed", "mla_orthogonal", "mha2mla"}) {
    const Ran outcome = run_program(kSmall + ("--context 16 --context 33 --batch 1 --batch 2 --form " + form));
    INFO(outcome.out << outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, ContainsSubstring("a copy moves"));
    const auto rows = rows_of(outcome.out);
    REQUIRE(rows.size() == 4);
    for (const auto& row : rows) {
      REQUIRE(row.size() >= 12);
      CHECK(row[0] == form);
      const double ms = std::stod(row[4]), least = std::stod(row[5]), most = std::stod(row[6]);
      CHECK(0 < least);
      CHECK(least <= ms);
      CHECK(ms <= most);
      // Rounded to a thousandth of a millisecond and to a tenth of a token.
      CHECK(std::stod(row[7]) == Approx(1000 * std::stod(row[3]) / ms).epsilon(0.01));
      CHECK(std::stod(row[9]) < ms);
    }
    CHECK(rows[1][2] == " 33");
    CHECK(rows[2][3] == " 2");
  }
}

TEST_CASE("bench_decode times forms that keep a state, whatever the context, and a variant's options") {
  const auto bytes = [](const std::string& form) {
    const Ran outcome = run_program(kSmall + ("--context 16 --context 400 --batch 2 --form " + form));
    INFO(form << outcome.out << outcome.err);
    REQUIRE(outcome.code == 0);
    const auto rows = rows_of(outcome.out);
    REQUIRE(rows.size() == 2);
    return std::pair{rows[0][8], rows[1][8]};
  };
  for (const std::string form : {"linear_attention", "gated_linear", "mamba2", "mamba", "rwkv6", "rwkv7"}) {
    const auto [few, many] = bytes(form);
    CHECK(few == many);
  }
  const Ran outcome =
      run_program(kSmall + std::string("--form gqla --set kv_lora_rank=32 --set decode=groups --context 16"));
  INFO(outcome.err);
  CHECK_THAT(outcome.out, ContainsSubstring("| gqla kv_lora_rank=32 decode=groups |"));
  check_refused(kSmall + std::string("--form gqla --set kv_lora_rank=99"), "kv_lora_rank: found 99");
  check_refused(kSmall + std::string("--form gqla --set rank=9"), "rank");
  check_refused(kSmall + std::string("--form mla_absorbed --set kv_lora_rank=9"), "--kv-lora-rank");
}

TEST_CASE("bench_decode counts what a step reads") {
  // bfloat16; Llama's 2 layers of 2 norms, q and o of 128², k and v of 128 · 32, and an MLP of 3 · 128 · 256,
  // the output matrix and the last norm; 1000 rows of the embedding; 1000 · 501 tokens of 2 · 2 · 32 numbers.
  const double numbers = 2 * (2 * 128 + 2 * 128 * 128 + 2 * 128 * 32 + 3 * 128 * 256) + 513.0 * 128 +
                         1000.0 * 128 + 1000.0 * 501 * 2 * 2 * 32;
  const auto rows = rows_of(run_program(kSmall + std::string("--form gqa --context 500 --batch 1000")).out);
  REQUIRE(rows.size() == 1);
  CHECK(std::stod(rows[0][8]) == Approx(2 * numbers / 1e9).margin(0.0005));
}

TEST_CASE("bench_decode packs a form's matrices, and counts their words, scales, zeros and groups") {
  // Two layers of 90112 + 8192 numbers in matrices; a word of group for each input, and for each 32 of them a
  // half-precision scale and 4 bits of zero point for each output.
  const double numbers = 2.0 * (2 * 128 * 128 + 2 * 128 * 32 + 3 * 128 * 256), inputs = 2.0 * (6 * 128 + 256);
  const double packed = numbers / 2 + numbers / 32 * 2.5 + 4 * inputs;
  const double rest = 2 * (2 * 2 * 128 + 513.0 * 128 + 1000.0 * 128 + 1000.0 * 501 * 2 * 2 * 32);
  for (const std::string order : {"", " --any-order"}) {
    const Ran outcome =
        run_program(kSmall + ("--form gqa --context 500 --batch 1000 --bits 4 --group-size 32" + order));
    INFO(outcome.err);
    const auto rows = rows_of(outcome.out);
    REQUIRE(rows.size() == 1);
    CHECK(std::stod(rows[0][8]) == Approx((packed + rest) / 1e9).margin(0.0005));
    CHECK_THAT(outcome.out, ContainsSubstring(order.empty() ? "| gqa 4 bits | small" : "gqa 4 bits any order"));
  }
  check_refused(std::string(kSmall) + "--form gqa --bits 5", "--bits: found 5, expected 2, 3, 4 or 8");
  check_refused(std::string(kSmall) + "--form gqa --bits 4 --group-size 0", "--group-size: found 0");
  check_refused(std::string(kSmall) + "--form gqa --bits 4 --group-size 48",
                "group_size: found 48, expected a divisor of 128");
}

TEST_CASE("bench_decode times a model's folder, by its name and family") {
  const std::string model = (test::source_dir() / "data" / "base_small").string();
  const Ran outcome = run_program("bench_decode --device cpu --steps 3 --context 16 --model " + model + "/");
  INFO(outcome.err);
  CHECK_THAT(outcome.out, ContainsSubstring("| base_small | llama | 16 | 1 |"));
  check_refused("bench_decode --shape small --model " + model,
                "--model: found a folder beside --form, --shape, --set or --bits");
}

TEST_CASE("bench_packed times packed matrices and whole ones, and refuses shapes that have no place") {
  const Ran outcome = run_program(
      "bench_packed --device cpu --shape 96x64 --bits 3 --bits 8 --group-size 32 --batch 1 --batch 3 --steps "
      "3");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  for (const char* row : {"| 96x64 | 1 | 3 |", "| 96x64 | 1 | 8 |", "| 96x64 | 3 | 3 |", "| 96x64 | 3 | 8 |"})
    CHECK_THAT(outcome.out, ContainsSubstring(row));
  check_refused("bench_packed --shape 96", "--shape: found 96, expected OUTxIN");
  check_refused("bench_packed --shape 96x60", "--shape: found 96x60, expected multiples of 32");
  check_refused("bench_packed --bits 5", "--bits: found 5, expected 2, 3, 4 or 8");
  check_refused("bench_packed --batch 0", "--batch: found 0");
}

TEST_CASE("bench_decode counts and times what a policy keeps") {
  const std::string options = "--context 500 --batch 1000 --dtype float32 --form ";
  const auto gigabytes = [&](const std::string& form) {
    const Ran outcome = run_program(kSmall + options + form);
    INFO(outcome.err);
    const auto rows = rows_of(outcome.out);
    REQUIRE(rows.size() == 1);
    return std::stod(rows[0][8]);
  };
  // Of 501 tokens 100 stay, and beside each a place and a score for each KV head, in each of 2 layers.
  const double of_tokens = 1000 * 2 * (4.0 * 2 * 32 * (501 - 100) - 100 * 2 * (4 + 4)) / 1e9;
  CHECK(gigabytes("gqa") - gigabytes("gqa --cache policy=h2o,budget=100") == Approx(of_tokens).margin(0.0011));
  for (const char* cache :
       {"policy=snapkv,budget=40", "policy=streaming,budget=30", "policy=tova,budget=500"}) {
    const Ran outcome = run_program(kSmall + std::string("--context 120 --form mla_absorbed --cache ") + cache);
    INFO(outcome.err);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, ContainsSubstring(std::string("mla_absorbed ") + cache));
  }
  check_refused(kSmall + std::string("--form mla_absorbed --cache policy=snapkv,source=official"),
                "--cache: policy: found a choice by query head");
  check_refused(kSmall + std::string("--form gqa --cache policy=lazyllm"), "depends on the text");
}

TEST_CASE("bench_decode keeps its rows in a file, beside those of other forms and in place of its own") {
  const test::TemporaryFolder folder;
  const std::string out = " --out " + (folder.path() / "decode.measured.h5").string();
  const auto bench = [&](const std::string& options) {
    const Ran outcome = run_program(kSmall + options + out);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return read_measurements(folder.path() / "decode.measured.h5");
  };
  const double first = bench("--form gqa --context 16 --context 33").decode_steps[0].ms;
  bench("--form mla_absorbed --context 16");
  const auto measured = bench("--form gqa --context 16");
  const auto& rows = measured.decode_steps;
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].form == "gqa");
  CHECK(rows[0].context == 16);
  CHECK(rows[0].ms != first);  // nanoseconds of another call
  CHECK(rows[1].context == 33);
  CHECK(rows[2].form == "mla_absorbed");
  for (const auto& row : rows) {
    CHECK(row.fits == 1);
    CHECK(row.ms > 0);
    CHECK(row.batch == 1);
    CHECK(row.floor_ms > 0);
    CHECK(row.shape == "small");
    CHECK(row.dtype == "bfloat16");
  }
  const auto facts = std::map(measured.provenance.begin(), measured.provenance.end());
  const auto command = std::get<std::string>(facts.at("command"));
  CHECK(std::count(command.begin(), command.end(), '\n') == 2);
}

TEST_CASE("bench_decode finds the largest batch that a cap of memory has room for, on a CPU by count") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "capped.measured.h5";
  // bfloat16: the weights as above with all 512 rows of the embedding; 101 tokens of 2 · 2 · 32 numbers.
  const double weights = 2 * (2 * (2 * 128 + 2 * 128 * 128 + 2 * 128 * 32 + 3 * 128 * 256) + 1025.0 * 128);
  const double sequence = 2 * 101 * 2 * 2 * 32;
  const double kibibytes = std::ceil((weights + 67 * sequence) / 1024);
  const std::string command =
      kSmall + ("--form gqa --context 100 --memory-limit 1M --memory-limit 700K "
                "--memory-limit " +
                std::to_string(static_cast<int>(kibibytes)) + "K --out " + file.string());
  const Ran outcome = run_program(command);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("| gqa | small | 100 | 8 (largest in 0.0009766 GiB) |") &&
                              ContainsSubstring("1 (largest in 0.0006676 GiB) | one does not fit |"));
  const auto rows = read_measurements(file).decode_steps;
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].batch == std::floor((1024 * 1024 - weights) / sequence));
  CHECK(rows[0].memory_limit == 1.0 / 1024);
  CHECK(rows[1].fits == 0);
  CHECK(rows[2].batch == 66);  // of 67, from 64 on in twos
  for (const auto& row : rows) CHECK(row.found == 1);
  CHECK(rows[0].fits == 1);
  CHECK(rows[0].ms > 0);

  // The same measurement again stands in its place, or is left out.
  REQUIRE(run_program(command).code == 0);
  CHECK(read_measurements(file).decode_steps.size() == 3);
  const Ran resumed = run_program(command + " --resume --memory-limit 2M");
  CHECK(rows_of(resumed.out).size() == 1);
  CHECK(read_measurements(file).decode_steps.size() == 4);
  // A batch that is given stands beside, and is none that was looked for.
  const Ran given = run_program(command + " --batch 8 --batch 9");
  CHECK_THAT(given.out, ContainsSubstring("| 8 (in 0.0009766 GiB) |") &&
                            ContainsSubstring("| 9 (in 0.0009766 GiB) | does not fit |"));
  const auto all = read_measurements(file).decode_steps;
  CHECK(all.size() == 4 + 6);
  CHECK(all.back().found == 0);
}

TEST_CASE("bench_decode profiles a step behind each row, which the row's file does not keep") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "profiled.measured.h5";
  const Ran outcome = run_program(
      kSmall + ("--form gqa --context 16 --context 33 --threads 1 --profile 3 --out " + file.string()));
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.code == 0);
  const size_t first = outcome.out.find("A step of gqa, context 16, batch 1:"),
               second = outcome.out.find("A step of gqa, context 33, batch 1:");
  REQUIRE(first < second);
  REQUIRE(second < outcome.out.size());
  CHECK(outcome.out.find("| gqa | small | 16 | 1 |") < first);
  CHECK(outcome.out.find("| gqa | small | 33 | 1 |") > first);
  test::check_profile(test::profile_of(outcome.out.substr(first, second - first)), 3, 1);
  test::check_profile(test::profile_of(outcome.out.substr(second)), 3, 1);
  CHECK(read_measurements(file).decode_steps.size() == 2);
}

TEST_CASE("bench_decode refuses what it cannot measure in one line") {
  const std::string gqa = std::string(kSmall) + "--form gqa ";
  check_refused("bench_decode --shape small", "--form: found '', expected one of mla_materialised");
  check_refused("bench_decode --form gqa", "--shape: found '', expected one of llama2-7b");
  check_refused(std::string(kSmall) + "--form mla_absorb", "did you mean 'mla_absorbed'?");
  check_refused("bench_decode --form gqa --shape llama-7b", "did you mean 'llama2-7b'?");
  check_refused(gqa + "--contxt 5", "did you mean '--context'?");
  check_refused(gqa + "--context x", "('x') for option '--context' is invalid");
  check_refused(gqa + "--context 16 --context 0", "--context: found 0, expected a whole number from 1");
  check_refused(gqa + "--batch 0", "--batch: found 0");
  check_refused("bench_decode --form gqa --shape small --steps 0", "--steps: found 0");
  check_refused(gqa + "--profile -1", "--profile: found -1");
  check_refused(gqa + "--kv-lora-rank 0", "--kv-lora-rank: found 0");
  check_refused(gqa + "--qk-rope-head-dim 7", "--qk-rope-head-dim: found 7, expected an even number");
  check_refused(gqa + "--dtype bfloat", "did you mean 'bfloat16'?");
  check_refused(gqa + "--out decode.h5",
                "--out: found 'decode.h5', expected a file to write, NAME.measured.h5");
  for (const char* limit : {"24", "G", "24GB", "0G", "-3G"})
    check_refused(gqa + "--memory-limit=" + limit, "expected a number and G, M or K (24G), or all");
  check_refused(gqa + "--memory-limit all", "--memory-limit: found all, expected a size on this device");
  check_refused(gqa + "--resume", "the file that --resume goes on with");
  const test::TemporaryFolder folder;
  const auto other = folder.path() / "other.measured.h5";
  write_file_atomic(other, "text");
  check_refused(gqa + "--out " + other.string(), "expected an HDF5 file of measurements");
}

}  // namespace attnlab
