#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "results/measurements.h"
#include "run_program.h"

namespace attnlab::test {
namespace {

namespace fs = std::filesystem;

using test::base;

// Problems as base_small was trained on.
fs::path story(const fs::path& folder) {
  const auto problems = folder / "problems.jsonl", file = folder / "story.txt";
  REQUIRE(run_program("generate_data --kind word_problems --split train --seed 1 --count 20 --out " +
                      problems.string())
              .code == 0);
  std::istringstream lines(read_file(problems));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const auto problem = nlohmann::json::parse(line);
    text += fmt::format("Question: {}\nAnswer: {}\n", problem.at("question").get<std::string>(),
                        problem.at("answer").get<std::string>());
  }
  write_file_atomic(file, text);
  return file;
}

std::string measure_command(const fs::path& folder, const std::string& rest) {
  return fmt::format("measure_conversion --model {} --calibration {} --out {} --device cpu {}", base(),
                     (folder / "story.txt").string(), (folder / "base.measured.h5").string(), rest);
}

constexpr const char* kTiny =
    "--tokens 256 --heldout-tokens 128 --row-length 64 --ranks 32,96 --freqfolds 1,4 ";

std::vector<ConversionRow> rows_of(const Measurements& measured, const std::string& form,
                                   const std::string& options) {
  std::vector<ConversionRow> rows;
  for (const auto& row : measured.conversions)
    if (row.form == form && row.options == options) rows.push_back(row);
  return rows;
}

double energy(const Measurements& measured, const std::string& part, const std::string& stage,
              int64_t freqfold) {
  double sum = 0;
  for (const auto& row : measured.norms)
    if (row.layer == 0 && row.part == part && row.stage == stage && row.freqfold == freqfold)
      sum += row.norm * row.norm;
  return sum;
}

// The largest distance of a Gram matrix from the identity.
double from_identity(const Measurements& measured, const std::string& form, const std::string& state) {
  double worst = 0;
  for (const auto& row : measured.grams)
    if (row.form == form && row.state == state)
      worst = std::max(worst, std::abs(row.value - (row.row == row.column ? 1 : 0)));
  return worst;
}

void check_conversions(const Measurements& measured) {
  const auto stages = rows_of(measured, "mla_deepseek", "");
  std::vector<std::string> names;
  for (const auto& row : stages) names.push_back(row.stage);
  CHECK(names == std::vector<std::string>{"rotate", "remove_rope", "compress", "export"});
  CHECK(stages[0].perplexity == Approx(stages[0].perplexity_base).epsilon(1e-4));
  CHECK(stages[1].kl > 100 * stages[0].kl);
  CHECK(stages[0].rank == 0);
  CHECK(stages[1].rank == 96);
  CHECK(stages[3].freqfold == 1);

  // Freqfold 1 and 4 with collapse 1, 4 with 2 and 4; two KV heads.
  CHECK(rows_of(measured, "mla_deepseek", "rotary_share=0.5").size() == 2);
  CHECK(rows_of(measured, "mla_deepseek", "rotary_share=0.25").size() == 1);
  CHECK(rows_of(measured, "mla_deepseek", "rotary_share=0.125").size() == 1);
  for (const std::string pca : {"activation", "weight"})
    for (const std::string balance : {"true", "false"}) {
      const auto rows = rows_of(measured, "mla_deepseek", "kv_pca=" + pca + " balance=" + balance);
      REQUIRE(rows.size() == 2);
      CHECK(rows[0].rank == 32);
      CHECK(rows[0].cached * 2 == rows[0].cached_base);
      CHECK(rows[1].exact == 1);
      CHECK(rows[0].kl > rows[1].kl);
    }
  for (const std::string form : {"mla_identity", "mla_orthogonal"}) {
    const auto rows = rows_of(measured, form, "");
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].exact == 1);
    CHECK(rows[0].max_logit_difference < 1e-3);
  }
  CHECK(rows_of(measured, "mla_orthogonal", "rank=16")[0].max_logit_difference > 0.1);
  CHECK(rows_of(measured, "care", "rank=32")[0].cached * 2 == stages[0].cached_base);
  CHECK(rows_of(measured, "mha2mla", "kv_lora_rank=32").back().cached * 2 == stages[0].cached_base);
  CHECK(rows_of(measured, "mla_v2", "").size() == 1);
}

}  // namespace

TEST_CASE("measure_conversion keeps conversions, norms and Gram matrices of a base and of a trained model") {
  const TemporaryFolder folder;
  story(folder.path());
  // In place of a model that was trained: what the conversion gives is one whose columns are orthogonal.
  const auto trained = folder.path() / "trained";
  REQUIRE(run_program(fmt::format("convert_model --model {} --to mla_orthogonal --out {} --device cpu", base(),
                                  trained.string()))
              .code == 0);
  const auto run =
      run_program(measure_command(folder.path(), kTiny + std::string("--trained ") + trained.string()));
  INFO(run.err);
  REQUIRE(run.code == 0);
  const auto measured = read_measurements(folder.path() / "base.measured.h5");
  check_conversions(measured);

  CHECK(measured.conversions[0].base == "base_small");
  const double before = energy(measured, "key", "before", 0);
  CHECK(before > 0);
  for (const int64_t m : {1, 4}) CHECK(energy(measured, "key", "rotated", m) == Approx(before).epsilon(1e-9));
  const auto facts = std::map(measured.provenance.begin(), measured.provenance.end());
  const auto m = std::get<int64_t>(facts.at("freqfold"));
  CHECK(energy(measured, "v", "before", m) == energy(measured, "v", "after", m));
  CHECK(energy(measured, "k_nope", "before", m) != energy(measured, "k_nope", "after", m));

  // Two matrices of 64² in three models.
  CHECK(measured.grams.size() == 3 * 2 * 64 * 64);
  CHECK(from_identity(measured, "mla_identity", "converted") < 1e-12);
  // Weights are stored in float32.
  CHECK(from_identity(measured, "mla_orthogonal", "converted") < 1e-5);
  CHECK(from_identity(measured, "mla_orthogonal", "trained") < 1e-5);
}

TEST_CASE(
    "measure_conversion goes on behind the rows that a call before left, and measures chosen forms alone") {
  const TemporaryFolder folder;
  story(folder.path());
  const auto command = measure_command(folder.path(), kTiny + std::string("--forms mla_identity,mla_v2"));
  const auto file = folder.path() / "base.measured.h5";
  REQUIRE(run_program(command).code == 0);
  const auto whole = read_measurements(file);
  CHECK(rows_of(whole, "mla_identity", "").size() == 1);
  CHECK(rows_of(whole, "mla_orthogonal", "").empty());

  // As it stood behind three conversions; a number that no measurement gives shows what was kept.
  auto part = whole;
  std::vector<ConversionRow> first;
  for (const auto& row : part.conversions)
    if (row.options.empty() ? row.form == "mla_deepseek" : first.size() < 6 && row.stage == "remove_rope")
      first.push_back(row);
  REQUIRE(first.size() == 6);
  first[0].perplexity = 12345;
  part.conversions = first;
  for (auto& [key, value] : part.provenance)
    if (key == "conversions_done") value = int64_t{3};
  write_measurements(file, part);
  REQUIRE(run_program(command).code == 0);
  const auto again = read_measurements(file);
  REQUIRE(again.conversions.size() == whole.conversions.size());
  CHECK(again.conversions[0].perplexity == 12345);
  for (size_t i = 1; i < again.conversions.size(); ++i) {
    CHECK(again.conversions[i].options == whole.conversions[i].options);
    CHECK(again.conversions[i].perplexity == whole.conversions[i].perplexity);
  }
  CHECK(again.norms.size() == whole.norms.size());

  // Asked for something else, it begins anew.
  REQUIRE(run_program(measure_command(folder.path(), kTiny + std::string("--forms mla_identity"))).code == 0);
  CHECK(read_measurements(file).conversions[0].perplexity == whole.conversions[0].perplexity);
}

TEST_CASE("measure_conversion refuses what it cannot measure in one line and writes nothing") {
  const TemporaryFolder folder;
  const auto file = story(folder.path()).string();
  const auto out = " --out " + (folder.path() / "base.measured.h5").string();
  const std::string model = "measure_conversion --model " + base();
  const auto with = [&](const std::string& rest) { return measure_command(folder.path(), rest); };
  check_refused("measure_conversion" + out, "--model: found nothing, expected a model folder");
  check_refused(model + out, "--calibration: found nothing, expected a text");
  check_refused(model + " --calibration " + file, "--out: found nothing");
  check_refused(model + " --calibration " + file + " --out base.h5", "NAME.measured.h5");
  check_refused(with("--ranks 32,x"), "--ranks: found '32,x', expected whole numbers from 1");
  check_refused(with("--ranks 32,"), "--ranks: found '32,'");
  check_refused(with("--ranks 0"), "--ranks: found '0'");
  check_refused(with("--ranks 97"), "--ranks: found '97', expected at most 96");
  check_refused(with("--freqfolds 3"), "--freqfolds: found '3', expected a divisor of head_dim / 2 = 16");
  check_refused(with("--freqfolds 1-2"), "--freqfolds: found '1-2'");
  check_refused(with("--forms mla_identiti"), "--forms: found 'mla_identiti' (did you mean 'mla_identity'?)");
  check_refused(with("--tokens 0"), "--tokens: found 0");
  check_refused(with("--heldout-tokens 1"), "--heldout-tokens: found 1");
  check_refused(with("--row-length 1"), "--row-length: found 1");
  check_refused(with("--gram-columns 0"), "--gram-columns: found 0");
  check_refused(with("--threads -1"), "--threads: found -1");
  check_refused(with("--tokens 64 --row-length 64"), "64 tokens for calibration, expected at least 96");
  check_refused(with("--trained " + base()), "expected mla_identity or mla_orthogonal");
  CHECK_FALSE(fs::exists(folder.path() / "base.measured.h5"));
}

}  // namespace attnlab::test
