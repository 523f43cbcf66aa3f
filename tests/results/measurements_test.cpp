#include "results/measurements.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "core/errors.h"
#include "results/whole_table.h"

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
                            .found = 1,
                            .ms = std::numeric_limits<double>::quiet_NaN(),
                            .memory_limit = 24,
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
  CHECK(read.decode_steps[0].found == 1);
  CHECK(read.decode_steps[0].memory_limit == 24);
  REQUIRE(read.grams.size() == 5000);
  CHECK(fields_equal(read.grams[4999], sample_measurements().grams[4999]));
  CHECK(read.norms.empty());
  CHECK(read.fits.empty());
}

// A decoding step as files held it before caps of memory were measured.
struct OlderRow {
  int64_t context = 0;
  double ms = 0;
  std::string form;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"context", ""}, self.context);
    visit(Key{"ms", ""}, self.ms);
    visit(Key{"form", ""}, self.form);
  }
};
// The same now: a number, a whole number and a text came later, in between and at the end.
struct NewerRow {
  int64_t context = 0, found = 7;
  double memory_limit = 1.5, ms = 0;
  std::string engine = "none", form;
  static constexpr std::array<std::string_view, 3> added_later{"found", "memory_limit", "engine"};

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"context", ""}, self.context);
    visit(Key{"found", ""}, self.found);
    visit(Key{"memory_limit", ""}, self.memory_limit);
    visit(Key{"ms", ""}, self.ms);
    visit(Key{"engine", ""}, self.engine);
    visit(Key{"form", ""}, self.form);
  }
};

TEST_CASE("tables of older files are read without the columns that came later, and no others may be missing") {
  const test::TemporaryFolder folder;
  const auto file = hdf5::open_file(folder.path() / "x.h5", hdf5::Mode::create);
  write_table<OlderRow>(file, "older", {{.context = 5, .ms = 2.5, .form = "gqa"}, {.context = 6, .form = "é"}});
  const auto read = read_table<NewerRow>(file, "older");
  REQUIRE(read.size() == 2);
  CHECK(read[0].context == 5);
  CHECK(read[0].found == 7);
  CHECK(read[0].memory_limit == 1.5);
  CHECK(read[0].ms == 2.5);
  CHECK(read[0].engine == "none");
  CHECK(read[0].form == "gqa");
  CHECK(read[1].context == 6);
  CHECK(read[1].form == "é");
  write_table<NewerRow>(file, "newer", {{.context = 1, .found = 2, .memory_limit = 3, .engine = "e"}});
  CHECK(fields_equal(read_table<NewerRow>(file, "newer").at(0),
                     NewerRow{.context = 1, .found = 2, .memory_limit = 3, .engine = "e"}));
  CHECK_THROWS_WITH(read_table<DecodeRow>(file, "older"), ContainsSubstring("a column is missing"));
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
