#include <filesystem>
#include <map>

#include "results/measurements.h"
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::Ran;
using test::run_program;

constexpr const char* kTinyFit =
    "fit_teacher --device cpu --d-model 16 --heads 4 --kv-heads 1 --head-dim 4 --batch 8 --length 8 ";

Measurements fitted(const std::string& options) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "new" / "fit.measured.h5";
  const Ran outcome = run_program(kTinyFit + options + " --out " + path.string());
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("| teacher | student |"));
  return read_measurements(path);
}

// The rows of one student of one teacher, in the order of steps.
std::vector<FitRow> rows_of(const Measurements& measured, const std::string& teacher,
                            const std::string& student, const std::string& start = "random") {
  std::vector<FitRow> rows;
  for (const auto& row : measured.fits)
    if (row.teacher == teacher && row.student == student && row.start == start) rows.push_back(row);
  return rows;
}

double last_error(const Measurements& measured, const std::string& teacher, const std::string& student) {
  return rows_of(measured, teacher, student).back().error;
}

}  // namespace

TEST_CASE("fit_teacher: GQA becomes MLA exactly, and GQA cannot be fitted to MLA at an equal cache") {
  const auto measured = fitted("--seeds 1 --restarts 2 --steps 800 --rate 0.02");
  const auto converted = rows_of(measured, "gqa", "mla", "converted");
  REQUIRE(converted.size() == 1);
  CHECK(converted[0].step == 0);
  CHECK(converted[0].error < 1e-10);
  CHECK(last_error(measured, "mla", "gqa") > 0.05);
  CHECK(last_error(measured, "mla", "mla") < 0.02);
  CHECK(last_error(measured, "gqa", "gqa") < 0.02);
  const auto facts = std::map(measured.provenance.begin(), measured.provenance.end());
  CHECK(std::get<int64_t>(facts.at("mla_to_gqa_starts")) == 2);
  CHECK(std::stod(std::get<std::string>(facts.at("mla_to_gqa_best_by_seed"))) > 0.05);
  CHECK_THAT(std::get<std::string>(facts.at("command")), ContainsSubstring("fit_teacher --device cpu"));
}

TEST_CASE("fit_teacher keeps what each form caches and trains, over spaced steps") {
  const auto measured = fitted("--seeds 2 --restarts 1 --steps 40 --rate 0.01");
  const auto gqa = rows_of(measured, "mla", "gqa"), mla = rows_of(measured, "mla", "mla"),
             wide = rows_of(measured, "mla", "gqa_wide");
  REQUIRE(gqa.size() == mla.size());
  CHECK(gqa[0].cached == 8);
  CHECK(mla[0].cached == 8);
  CHECK(wide[0].cached == 32);
  // q and o of 16 · 16, k and v of 16 · 4; two up-projections of 16 · 4.
  CHECK(gqa[0].parameters == 2 * 256 + 2 * 64);
  CHECK(mla[0].parameters == 2 * 256 + 2 * 64 + 2 * 64);
  CHECK(gqa.front().step == 0);
  CHECK(gqa.front().seed == 1);
  CHECK(gqa.back().step == 40);
  CHECK(gqa.back().seed == 2);
  // Two random layers have nothing to do with each other: the variances add up.
  CHECK(gqa.front().error == Approx(2).margin(1));
}

TEST_CASE("fit_teacher gives the same rows in any number of threads, and compares rates on another seed") {
  const std::string options =
      "--teacher mla --seeds 2 --restarts 1 --steps 10 --rate 0.0001 --rate 0.02 --threads ";
  const auto one = fitted(options + "1"), three = fitted(options + "3");
  REQUIRE(one.fits.size() == three.fits.size());
  for (size_t i = 0; i < one.fits.size(); ++i) CHECK(one.fits[i].error == three.fits[i].error);
  CHECK(rows_of(one, "gqa", "mla").empty());
  const auto facts = std::map(one.provenance.begin(), one.provenance.end());
  CHECK(std::get<double>(facts.at("mla_to_gqa_rate")) == 0.02);
}

TEST_CASE("fit_teacher refuses what it cannot fit in one line and writes nothing") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "fit.measured.h5";
  const std::string start = "fit_teacher --out " + path.string() + " ";
  check_refused("fit_teacher", "--out: found nothing, expected a file to write, NAME.measured.h5");
  check_refused("fit_teacher --out fit.h5",
                "--out: found 'fit.h5', expected a file to write, NAME.measured.h5");
  check_refused("fit_teacher --out /dev/null/fit.measured.h5", "/dev/null is none");
  std::filesystem::create_directory(folder.path() / "taken.measured.h5");
  check_refused("fit_teacher --out " + (folder.path() / "taken.measured.h5").string(), "found the folder");
  check_refused(start + "--teacher gqq", "did you mean 'gqa'?");
  check_refused(start + "--kv-heads 3", "--kv-heads: found 3, expected a divisor of --heads = 8 that is less");
  check_refused(start + "--kv-heads 8", "--kv-heads: found 8");
  check_refused(start + "--kv-heads 0", "--kv-heads: found 0");
  check_refused(start + "--heads 1", "--heads: found 1");
  check_refused(start + "--head-dim 7", "--head-dim: found 7, expected an even number");
  check_refused(start + "--head-dim 0", "--head-dim: found 0");
  check_refused(start + "--d-model 0", "--d-model: found 0");
  check_refused(start + "--batch 0", "--batch: found 0");
  check_refused(start + "--length 1", "--length: found 1");
  check_refused(start + "--seeds 0", "--seeds: found 0");
  check_refused(start + "--restarts 0", "--restarts: found 0");
  check_refused(start + "--steps 0", "--steps: found 0");
  check_refused(start + "--rate 0", "--rate: found 0, expected a number above 0");
  check_refused(start + "--threads -1", "--threads: found -1");
  check_refused(start + "--device gpu", "--device: found 'gpu'");
  CHECK_FALSE(std::filesystem::exists(path));
}

}  // namespace attnlab
