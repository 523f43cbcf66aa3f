#include "results/measurements.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "core/errors.h"

namespace attnlab {
namespace {

Measurements sample_measurements() {
  Measurements m;
  m.provenance = {{"command", std::string("bench_decode --form gqa")}, {"threads", int64_t{2}}};
  m.conversions.push_back({.exact = 1,
                           .freqfold = 2,
                           .rank = 64,
                           .cached = 576,
                           .perplexity = 2.5,
                           .base = "data/base_small",
                           .form = "mla_deepseek",
                           .stage = "compress"});
  m.decode_steps.push_back({.context = 8192,
                            .batch = 16,
                            .ms = std::numeric_limits<double>::quiet_NaN(),
                            .form = "gqa",
                            .shape = "small"});
  m.grams.resize(5000);
  m.grams[4999] = {.layer = 3, .row = 7, .value = -0.25, .matrix = "k_up"};
  return m;
}

TEST_CASE("measurements read back as they were written, and kinds without rows stay empty") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "deep" / "x.measured.h5";
  write_measurements(path, sample_measurements());
  const Measurements read = read_measurements(path);
  CHECK(read.provenance == sample_measurements().provenance);
  REQUIRE(read.conversions.size() == 1);
  CHECK(fields_equal(read.conversions[0], sample_measurements().conversions[0]));
  REQUIRE(read.decode_steps.size() == 1);
  CHECK(std::isnan(read.decode_steps[0].ms));
  CHECK(read.decode_steps[0].form == "gqa");
  REQUIRE(read.grams.size() == 5000);
  CHECK(fields_equal(read.grams[4999], sample_measurements().grams[4999]));
  CHECK(read.norms.empty());
  CHECK(read.fits.empty());
}

TEST_CASE("measurements are found below a folder in the order of their paths") {
  const test::TemporaryFolder folder;
  for (const char* name : {"b/y.measured.h5", "a/x.measured.h5"})
    write_measurements(folder.path() / name, sample_measurements());
  const auto found = find_measurements(folder.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].path.filename() == "x.measured.h5");
  CHECK(find_measurements(folder.path() / "b" / "y.measured.h5").size() == 1);
  CHECK(find_measurements(folder.path() / "nothing").empty());
}

TEST_CASE("files of measurements have their ending, and nothing else is read as one") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(write_measurements(folder.path() / "x.h5", sample_measurements()),
                    ContainsSubstring("ends in .measured.h5"));
  CHECK_THROWS_AS(read_measurements(folder.path() / "x.measured.h5"), InputError);
}

}  // namespace
}  // namespace attnlab
