// Figures of measurements: the numbers in their CSVs against sums done here.
#include <algorithm>
#include <set>

#include "csv.h"
#include "sample_measurements.h"

using namespace attnlab;
using test::CsvRow;
using test::make_figures;
using test::number;

namespace {

namespace fs = std::filesystem;

// Means of at most 3 numbers below 10, and squares of 128 of them: 128 · 100 · 2^-53 = 1.4e-12.
constexpr double measured_rounding = 1e-11;
bool is_near(double a, double b) { return std::abs(a - b) <= measured_rounding; }

// Draws `name` of the measurements; the rows of its CSV.
struct Drawn {
  test::TemporaryFolder folder;
  test::Called called;

  Drawn(const Measurements& measured, const std::string& name) {
    write_measurements(folder.path() / "x.measured.h5", measured);
    called = make_figures(folder.path().string() + " --only " + name);
  }
  fs::path file(const std::string& name) const { return folder.path() / "figures" / name; }
  std::vector<CsvRow> rows(const std::string& name) const {
    INFO(called.err);
    REQUIRE(called.status == 0);
    return test::read_csv(file(name + ".csv"));
  }
};

std::vector<CsvRow> where(const std::vector<CsvRow>& rows, const CsvRow& values) {
  std::vector<CsvRow> found;
  for (const CsvRow& row : rows)
    if (std::all_of(values.begin(), values.end(),
                    [&](const auto& value) { return row.at(value.first) == value.second; }))
      found.push_back(row);
  return found;
}

CsvRow one(const std::vector<CsvRow>& rows, const CsvRow& values) {
  const auto found = where(rows, values);
  REQUIRE(found.size() == 1);
  return found.front();
}

}  // namespace

TEST_CASE("every figure of measurements comes in every format, and again with the same bytes") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  write_measurements(folder.path() / "x.measured.h5", test::sample_measurements());
  std::string only;
  const std::vector<std::string> names{"gram",           "key_norms",       "rope_removal",
                                       "kv_balance",     "rank_perplexity", "decode_speedup",
                                       "expressiveness", "cache_methods"};
  for (const auto& name : names) only += " --only " + name;
  REQUIRE(make_figures(folder.path().string() + only).status == 0);
  std::map<std::string, std::string> bytes;
  for (const auto& name : names)
    for (const char* format : {"png", "pdf", "svg", "csv"}) {
      const auto path = folder.path() / "figures" / (name + "." + format);
      bytes[path.string()] = read_file(path);
    }
  REQUIRE(make_figures(folder.path().string() + only).status == 0);
  for (const auto& [path, content] : bytes) {
    INFO(path);
    CHECK(content.size() > 100);
    CHECK(read_file(path) == content);
  }
}

TEST_CASE("ways of keeping a cache: all are told, and those that no other beats are marked") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Drawn drawn(test::sample_measurements(), "cache_methods");
  const auto rows = drawn.rows("cache_methods");
  CHECK(rows.size() == 16);
  for (const std::string measure : {"passkey", "log_perplexity"}) {
    std::set<std::string> front;
    for (const CsvRow& row : where(rows, {{"measure", measure}, {"front", "1"}}))
      front.insert(row.at("arm") + " " + row.at("policy") + " " + row.at("storage") + " " + row.at("share"));
    CHECK(front == std::set<std::string>{"gqa all dense 1", "gqa h2o dense 0.5", "gqa h2o int8 0.5",
                                         "mla all dense 1", "mla h2o dense 0.5"});
  }
  const std::string table = read_file(drawn.file("table_cache_methods.md"));
  CHECK_THAT(table, ContainsSubstring("| gqa | h2o | 25 % | dense | 400.0 | 400.0 | 400.0 | 2.50 | 60.0 |"));
  CHECK_THAT(table, ContainsSubstring("80.0* |"));
  CHECK_FALSE(read_file(drawn.file("table_cache_methods.tex")).empty());
}

TEST_CASE("norms of keys are means over layers, and the rotary part is marked with its share") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Measurements measured = test::sample_measurements();
  const Drawn drawn(measured, "key_norms");
  const auto rows = drawn.rows("key_norms");
  CHECK(rows.size() == 4 * test::key_dimensions);
  double sum = 0, rotary = 0, all = 0;
  for (const auto& row : measured.norms) {
    if (row.part != "key" || row.stage != "rotated" || row.freqfold != 2) continue;
    if (row.dimension == 5) sum += row.norm;
    all += row.norm * row.norm;
    if (row.dimension < test::rotary_dimensions) rotary += row.norm * row.norm;
  }
  CHECK(is_near(number(one(rows, {{"stage", "rotated"}, {"freqfold", "2"}, {"dimension", "5"}}), "norm"),
                sum / 2));
  CHECK(where(rows, {{"stage", "rotated"}, {"freqfold", "2"}, {"rotary", "1"}}).size() ==
        test::rotary_dimensions);
  CHECK(where(rows, {{"stage", "before"}, {"rotary", "1"}}).size() == test::key_dimensions);
  std::ostringstream share;
  share.precision(1);
  share << std::fixed << 100 * rotary / all << " % in the rotary part";
  CHECK_THAT(read_file(drawn.file("key_norms.svg")), ContainsSubstring(share.str()));
}

TEST_CASE("where no conversion tells the rotary share, no dimension is said to keep rotary position") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured = test::sample_measurements();
  measured.conversions.clear();
  const Drawn drawn(measured, "key_norms");
  CHECK(where(drawn.rows("key_norms"), {{"rotary", ""}}).size() == 4 * test::key_dimensions);
  CHECK(read_file(drawn.file("key_norms.svg")).find("in the rotary part") == std::string::npos);
}

TEST_CASE("removal of rotary position is shown by the share in the options, as a logarithm") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Drawn drawn(test::sample_measurements(), "rope_removal");
  const auto rows = drawn.rows("rope_removal");
  CHECK(rows.size() == 9);
  const auto row = one(rows, {{"freqfold", "2"}, {"removed_percent", "75"}});
  CHECK(is_near(number(row, "log_perplexity"), std::log(2.52 + 2 * 0.3 / 0.25)));
  CHECK(is_near(number(row, "log_perplexity_base"), std::log(2.52)));
}

TEST_CASE("a rotary share that is no number is left out") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured = test::sample_measurements();
  measured.conversions.push_back(test::conversion("remove_rope", 8, 64, 3, "rotary_share=half"));
  measured.conversions.push_back(test::conversion("remove_rope", 8, 64, 3, "no_rotary_share=0.5"));
  CHECK(Drawn(measured, "rope_removal").rows("rope_removal").size() == 9);
}

TEST_CASE("norms of keys without rotary position and of values are shown before and after balancing") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Measurements measured = test::sample_measurements();
  const Drawn drawn(measured, "kv_balance");
  // Both panels have the larger one's scale: norms are 5.6 at most before balancing, 1.2 after it.
  const std::string svg = read_file(drawn.file("kv_balance.svg"));
  const size_t first_tic = svg.find(">4<");
  REQUIRE(first_tic != std::string::npos);
  CHECK(svg.find(">4<", first_tic + 1) != std::string::npos);
  const auto rows = drawn.rows("kv_balance");
  CHECK(rows.size() == 2 * (32 + 64));
  const double norm = 0.8 * (0.4 + test::noise(7, 3)) * 1.05;  // layers with factors 1 and 1.1
  CHECK(is_near(number(one(rows, {{"stage", "after"}, {"part", "k_nope"}, {"dimension", "7"}}), "norm"), norm));
}

TEST_CASE("perplexity by cache keeps the four kinds of PCA apart") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Drawn drawn(test::sample_measurements(), "rank_perplexity");
  const auto rows = drawn.rows("rank_perplexity");
  CHECK(rows.size() == 4 * 6);
  const auto row = one(rows, {{"kv_pca", "weight"}, {"balance", "false"}, {"rank", "16"}});
  CHECK(is_near(number(row, "perplexity"), 2.87 + 4.44));
  CHECK(is_near(number(row, "cached_percent"), 37.5));
}

TEST_CASE("conversions with another FreqFold or of another base have drawings of their own") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured = test::sample_measurements();
  ConversionRow row = test::conversion("compress", 2, 64, 3, "kv_pca=weight balance=true");
  measured.conversions.push_back(row);
  row.base = "models/other";
  measured.conversions.push_back(row);
  const Drawn drawn(measured, "rank_perplexity");
  REQUIRE(drawn.called.status == 0);
  for (const char* setting :
       {"data_base_small__freqfold_1__collapse_1", "data_base_small__freqfold_2__collapse_1", "models_other"})
    CHECK(fs::exists(drawn.file(std::string("rank_perplexity-") + setting + ".png")));
}

TEST_CASE("decoding is compared at equal batch and context, and what does not fit is left out") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Drawn drawn(test::sample_measurements(), "decode_speedup");
  const auto rows = drawn.rows("decode_speedup");
  CHECK(rows.size() == 3 * 12 - 2);
  const auto row = one(rows, {{"form", "mla_absorbed"}, {"context", "8192"}, {"batch", "16"}});
  CHECK(is_near(number(row, "times_as_fast_as_gqa"), 21 / 9.3));
  CHECK(is_near(number(row, "tokens_per_second"), 16000 / 9.3));
  CHECK(one(rows, {{"form", "mla_absorbed"}, {"context", "16384"}, {"batch", "16"}})
            .at("times_as_fast_as_gqa")
            .empty());
}

TEST_CASE("only batches that were looked for are called the largest that fit, each memory by itself") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured = test::sample_measurements();
  const Drawn given(measured, "decode_speedup");
  const auto words_of = [](const Drawn& drawn) { return read_file(drawn.file("decode_speedup.svg")); };
  CHECK_THAT(words_of(given), ContainsSubstring("a step at an equal batch") && !ContainsSubstring("largest") &&
                                  !ContainsSubstring("paper, 24 GB"));

  test::add_capped(measured);
  const Drawn drawn(measured, "decode_speedup");
  CHECK_THAT(words_of(drawn), ContainsSubstring("whole card, largest batch that fits (number)") &&
                                  ContainsSubstring("mla_absorbed: served, prompts counted") &&
                                  ContainsSubstring("24 GiB") && ContainsSubstring("whole card") &&
                                  ContainsSubstring("paper, 24 GB") && ContainsSubstring("paper, 64 GB") &&
                                  !ContainsSubstring("paper, 40 GB") &&
                                  ContainsSubstring("arXiv 2502.07864v5"));
  const auto rows = drawn.rows("decode_speedup");
  // Of 34 steps at given batches none is changed; 11 batches that fit, as steps and as served.
  CHECK(rows.size() == 34 + 2 * 11);
  for (const std::string what : {"fullest_step", "served"}) {
    const auto ours =
        one(rows, {{"measured", what}, {"form", "mla_absorbed"}, {"context", "4096"}, {"memory", "64 GiB"}});
    const auto gqa =
        one(rows, {{"measured", what}, {"form", "gqa"}, {"context", "4096"}, {"memory", "64 GiB"}});
    CHECK(number(ours, "batch") == 14 * 25);
    CHECK(is_near(number(ours, "tokens_per_second") / number(gqa, "tokens_per_second"),
                  number(ours, "times_as_fast_as_gqa")));
    CHECK(is_near(number(ours, "times_as_fast_as_gqa"), 14 * (6 + 51 / 4.0) / (6 + 51 / 3.0)));
    CHECK(one(rows, {{"measured", what}, {"form", "mla_absorbed"}, {"context", "16384"}, {"memory", "24 GiB"}})
              .at("times_as_fast_as_gqa")
              .empty());
  }

  // Of another shape the paper says nothing; requests alone are drawn, too.
  for (auto& row : measured.served) row.shape = "qwen2.5-7b";
  measured.decode_steps.clear();
  const Drawn served(measured, "decode_speedup");
  CHECK_THAT(words_of(served),
             ContainsSubstring("served, prompts counted") && !ContainsSubstring("paper, 24 GB"));
}

TEST_CASE("fits are geometric means over seeds, and those of another start are curves of their own") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const Measurements measured = test::sample_measurements();
  const Drawn drawn(measured, "expressiveness");
  const auto rows = drawn.rows("expressiveness");
  std::vector<double> errors;
  for (const auto& row : measured.fits)
    if (row.teacher == "gqa" && row.start == "converted" && row.step == 0) errors.push_back(row.error);
  REQUIRE(errors.size() == 3);
  const auto row = one(rows, {{"teacher", "gqa"}, {"student", "mla"}, {"start", "converted"}, {"step", "0"}});
  // Relative, as the errors are small: three products and a root, each within 2^-53, and exp and log of
  // about 30.
  CHECK(std::abs(number(row, "error") / std::cbrt(errors[0] * errors[1] * errors[2]) - 1) < 1e-13);
  CHECK(number(row, "low") == *std::min_element(errors.begin(), errors.end()));
  CHECK(row.at("seeds") == "3");
}

TEST_CASE("Gram matrices are shown of the first layer, with the mean off the diagonal") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured = test::sample_measurements();
  GramRow later = measured.grams.front();
  later.layer = 2;
  measured.grams.push_back(later);
  const Drawn drawn(measured, "gram");
  const auto rows = drawn.rows("gram");
  CHECK(rows.size() == 8 * 256);
  double sum = 0;
  for (const auto& row : measured.grams)
    if (row.layer == 1 && row.form == "mla_identity" && row.matrix == "v_up" && row.state == "trained" &&
        row.row != row.column)
      sum += std::abs(row.value);
  std::ostringstream mean;
  mean.precision(3);
  mean << "mean off diagonal " << std::fixed << sum / 240;
  CHECK_THAT(read_file(drawn.file("gram.svg")), ContainsSubstring(mean.str()) && ContainsSubstring("layer 1"));
}

TEST_CASE("measurements that a figure lacks are named with the command that makes them") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured;
  test::add_fits(measured);
  const std::map<std::string, std::string> commands{{"gram", "measure_conversion"},
                                                    {"key_norms", "measure_conversion"},
                                                    {"rope_removal", "measure_conversion"},
                                                    {"kv_balance", "measure_conversion"},
                                                    {"rank_perplexity", "measure_conversion"},
                                                    {"decode_speedup", "bench_decode"}};
  for (const auto& [name, command] : commands) {
    const Drawn drawn(measured, name);
    CHECK(drawn.called.status == 1);
    CHECK_THAT(drawn.called.err,
               ContainsSubstring("make_figures: " + name + " skipped: no ") && ContainsSubstring(command));
  }
  Measurements half;  // one stage alone can't show what balancing does
  test::add_norms(half);
  std::erase_if(half.norms, [](const NormRow& row) { return row.stage == "after"; });
  CHECK(Drawn(half, "kv_balance").called.status == 1);
}

TEST_CASE("measurements of one value, and values that are no numbers, are drawn all the same") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  Measurements measured;
  const double nan = std::nan("");
  measured.conversions = {test::conversion("compress", 1, 64, 2.52, "kv_pca=weight balance=true"),
                          test::conversion("compress", 1, 64, nan, "kv_pca=weight balance=false"),
                          test::conversion("remove_rope", 1, 64, 2.52, "rotary_share=1"),
                          test::conversion("remove_rope", 1, 64, nan, "rotary_share=0.5")};
  measured.norms = {{.norm = 0, .base = "b", .stage = "before", .part = "key"},
                    {.norm = 0, .base = "b", .stage = "before", .part = "k_nope"},
                    {.norm = 0, .base = "b", .stage = "before", .part = "v"},
                    {.norm = 0, .base = "b", .stage = "after", .part = "k_nope"},
                    {.norm = 0, .base = "b", .stage = "after", .part = "v"}};
  measured.fits = {{.error = 0, .teacher = "gqa", .student = "mla", .start = "converted"}};
  measured.grams = {{.value = 1, .base = "b", .form = "mla_identity", .matrix = "k_up", .state = "converted"}};
  test::add_decode_steps(measured);
  std::erase_if(measured.decode_steps,
                [](const DecodeRow& row) { return row.context != 1024 || row.batch != 1; });
  const std::vector<std::string> names{
      "gram", "key_norms", "rope_removal", "kv_balance", "rank_perplexity", "decode_speedup", "expressiveness"};
  for (const auto& name : names) {
    INFO(name);
    const Drawn drawn(measured, name);
    INFO(drawn.called.err);
    CHECK(drawn.called.status == 0);
    CHECK_FALSE(test::read_csv(drawn.file(name + ".csv")).empty());
  }
  CHECK(Drawn(measured, "rope_removal").rows("rope_removal").size() == 1);
}
