// Claims about measurements: which rows are compared, and what follows from their numbers.
#include "claims_support.h"

namespace attnlab {
namespace {

using namespace test;

Measurements file_of(const std::string& name = "dir/small.measured.h5") { return {.path = name}; }

ConversionRow conversion(int64_t rank, const std::string& options, double perplexity) {
  return {.rank = rank,
          .cached = rank,
          .cached_base = 128,
          .perplexity_base = 2,
          .perplexity = perplexity,
          .base = "base_small",
          .form = "mla_deepseek",
          .stage = "compress",
          .options = options};
}

// Rank 64 loses less with activations, rank 96 does not; the order of the options does not matter.
std::vector<Measurements> two_kinds_of_pca() {
  auto file = file_of();
  file.conversions = {
      conversion(32, "kv_pca=activation balance=true", 3),   conversion(32, "balance=true kv_pca=weight", 4),
      conversion(64, "kv_pca=activation balance=true", 2.5), conversion(64, "kv_pca=weight balance=true", 2.75),
      conversion(128, "kv_pca=activation balance=true", 2),  conversion(128, "kv_pca=weight balance=true", 2)};
  return {file};
}

std::string pca(const std::string& more, const std::string& where = "") {
  return "- measured: {table: conversions, value: perplexity, where: {options.kv_pca: activation" + where +
         "}, compare: difference, against: {options.kv_pca: weight}, " + more + "}";
}

TEST_CASE("rows are compared with those that differ in the named columns alone") {
  const auto result =
      judge_tests(pca("expect: below, bound: 0", ", cache_saved: \">0\""), {}, two_kinds_of_pca());
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(result.experiment == "small, base_small");
  CHECK(result.effect.value == Approx((-1 - 0.25) / 2));
  CHECK_FALSE(result.effect.has_ends());
  CHECK(result.unit == "perplexity");
  CHECK(result.why == "of 2 measurements 2 lie below 0; the number is their mean, they go from -1 to -0.25");
}

TEST_CASE("measurements that disagree show nothing, and all on the other side refute") {
  const auto measured = two_kinds_of_pca();
  CHECK(judge_tests(pca("expect: below, bound: 0"), {}, measured).verdict == ClaimVerdict::not_shown);
  CHECK(judge_tests(pca("expect: below, bound: -0.5"), {}, measured).verdict == ClaimVerdict::not_shown);
  CHECK(judge_tests(pca("expect: below, bound: -2"), {}, measured).verdict == ClaimVerdict::does_not_hold);
  CHECK(judge_tests(pca("expect: above, bound: -2"), {}, measured).verdict == ClaimVerdict::holds);
}

TEST_CASE("each file and model is a part of its own") {
  auto measured = two_kinds_of_pca();
  measured.push_back(measured[0]);
  measured[1].path = "large.measured.h5";
  for (auto& row : measured[1].conversions) row.perplexity = 1;
  const auto result = judge_tests(pca("expect: below, bound: 0", ", rank: 64"), {}, measured);
  REQUIRE(result.parts.size() == 2);
  CHECK(result.parts[0].verdict == ClaimVerdict::holds);
  CHECK(result.parts[1].experiment == "large, base_small");
  CHECK(result.parts[1].verdict == ClaimVerdict::not_shown);
}

TEST_CASE("derived columns: the saved cache and the rise of the perplexity") {
  auto measured = two_kinds_of_pca();
  const std::string head = "- measured: {table: conversions, expect: above, ";
  auto result = judge_tests(head + "value: cache_saved, bound: 0.7, where: {rank: 32}}", {}, measured);
  CHECK(result.effect.value == Approx(0.75));
  CHECK(result.unit == "share");
  CHECK(result.verdict == ClaimVerdict::holds);
  result = judge_tests(head + "value: perplexity_ratio, bound: 1.5, where: {cache_saved: \">=0.75\"}}", {},
                       measured);
  CHECK(result.effect.value == Approx(1.75));
  CHECK(result.verdict == ClaimVerdict::not_shown);  // 1.5 is not above 1.5
  result = judge_tests(head + "value: log_perplexity, bound: 0, where: {rank: 128}}", {}, measured);
  CHECK(result.effect.value == Approx(0.693147));
  result = judge_tests(head + "value: rank, bound: 0, where: {form: gqa*}}", {}, measured);
  CHECK(result.verdict == ClaimVerdict::no_data);
  CHECK(result.why == "no such rows were measured");
}

TEST_CASE("rows may be matched by columns, against the row that is hardest for the claim") {
  auto measured = two_kinds_of_pca();
  for (const double perplexity : {5.0, 2.9, 7.0}) {
    auto row = conversion(10, "select=high", perplexity);
    row.form = "mha2mla";
    row.cached = 32;
    measured[0].conversions.push_back(row);
  }
  const auto result = judge_tests(
      "- measured: {table: conversions, value: perplexity, where: {form: mla_deepseek, options.kv_pca: "
      "activation}, "
      "compare: difference, against: {form: mha2mla}, match: [base, cached], expect: below, bound: 0}",
      {}, measured);
  CHECK(result.effect.n == 1);
  CHECK(result.effect.value == Approx(3 - 2.9));
  CHECK(result.verdict == ClaimVerdict::does_not_hold);
  CHECK(result.why == "the number lies above 0: the other way round");
}

DecodeRow decode(const std::string& form, int64_t context, double ms, double spread = 0) {
  return {.context = context,
          .batch = 16,
          .fits = 1,
          .ms = ms,
          .ms_min = ms - spread,
          .ms_max = ms + spread,
          .form = form,
          .shape = "llama2-7b",
          .dtype = "bfloat16",
          .device = "a card"};
}

std::string speed_up(const std::string& bound) {
  return "- measured: {table: decode_steps, value: ms, where: {form: gqa, context: 8192}, compare: ratio, "
         "against: {form: mla_absorbed}, expect: above, bound: " +
         bound + "}";
}

TEST_CASE("times are compared with their range") {
  auto file = file_of();
  file.decode_steps = {decode("gqa", 1024, 7), decode("gqa", 8192, 20, 2), decode("mla_absorbed", 1024, 1),
                       decode("mla_absorbed", 8192, 9, 1)};
  auto result = judge_tests(speed_up("10.6"), {}, {file});
  CHECK(result.effect.value == Approx(20.0 / 9));
  CHECK(result.effect.low == Approx(1.8));
  CHECK(result.effect.high == Approx(2.75));
  CHECK(result.unit == "times");
  CHECK(result.scale == "llama2-7b, a card");
  CHECK(result.verdict == ClaimVerdict::does_not_hold);
  CHECK(result.why == "the range between the fastest and the slowest steps lies below 10.6");
  CHECK(judge_tests(speed_up("2"), {}, {file}).verdict == ClaimVerdict::not_shown);
  CHECK(judge_tests(speed_up("1.7"), {}, {file}).verdict == ClaimVerdict::holds);
  file.decode_steps[3].batch = 1;  // no pair at an equal batch
  CHECK(judge_tests(speed_up("1.7"), {}, {file}).verdict == ClaimVerdict::no_data);
}

TEST_CASE("a step that did not fit into memory is no measurement") {
  auto file = file_of();
  file.decode_steps = {decode("gqa", 8192, not_known), decode("mla_absorbed", 8192, 9)};
  CHECK(judge_tests(speed_up("1"), {}, {file}).verdict == ClaimVerdict::no_data);
}

// The largest batch that fits, under a cap.
DecodeRow fullest(const std::string& form, double memory, int64_t batch, double ms, double spread = 0) {
  DecodeRow row = decode(form, 8192, ms, spread);
  row.batch = batch, row.found = 1, row.memory_limit = memory;
  return row;
}

TEST_CASE("tokens per second are compared at the batches that fit, each cap by itself") {
  auto file = file_of();
  file.decode_steps = {decode("gqa", 8192, 20),          decode("mla_absorbed", 8192, 8),
                       fullest("gqa", 24, 2, 10, 1),     fullest("mla_absorbed", 24, 40, 20, 2),
                       fullest("gqa", 0, 28, 33),        fullest("mla_absorbed", 0, 384, 40),
                       fullest("gqa", 40, 5, not_known), fullest("mla_absorbed", 40, 90, 25)};
  const auto judged = [&](const std::string& memory, const std::string& bound) {
    return judge_tests(
        "- measured: {table: decode_steps, value: tokens_per_second, where: {form: mla_absorbed, context: "
        "8192, "
        "found: 1, memory_limit: " +
            memory +
            "}, compare: ratio, against: {form: gqa}, match: [shape, dtype, device, context, found, "
            "memory_limit], "
            "expect: above, bound: " +
            bound + "}",
        {}, {file});
  };
  const auto capped = judged("24", "9.7");
  CHECK(capped.effect.n == 1);
  CHECK(capped.effect.value == Approx(10));  // 40 / 20 ms over 2 / 10 ms
  CHECK(capped.effect.low == Approx((40 / 22.0) / (2 / 9.0)));
  CHECK(capped.effect.high == Approx((40 / 18.0) / (2 / 11.0)));
  CHECK(capped.unit == "times");
  CHECK(capped.verdict == ClaimVerdict::not_shown);
  CHECK(judged("24", "8").verdict == ClaimVerdict::holds);
  CHECK(judged("0", "10.6").effect.value == Approx((384 / 40.0) / (28 / 33.0)));
  CHECK(judged("0", "10.6").verdict == ClaimVerdict::holds);
  CHECK(judged("40", "5.1").verdict == ClaimVerdict::no_data);  // one does not fit
  CHECK(judged("64", "4").verdict == ClaimVerdict::no_data);    // not measured
  // A step at an equal batch is a pair of given batches alone.
  const auto equal = judge_tests(speed_up("10.6"), {}, {file});
  CHECK(equal.effect.n == 1);
  CHECK(equal.effect.value == Approx(2.5));
}

TEST_CASE("requests that were served are compared with those of another form, cap by cap") {
  auto file = file_of();
  const auto served = [](const std::string& form, double memory, double tokens) {
    return ServeRow{.context = 1024,
                    .requests = 100,
                    .batch = form == "gqa" ? 18 : 100,
                    .fits = 1,
                    .found = 1,
                    .memory_limit = memory,
                    .tokens_per_second = tokens,
                    .form = form,
                    .shape = "llama2-7b"};
  };
  file.served = {served("gqa", 24, 2000), served("mla_absorbed", 24, 9000), served("gqa", 40, 4000),
                 served("mla_absorbed", 40, 9500)};
  const auto judged = [&](const std::string& memory, const std::string& bound) {
    return judge_tests(
        "- measured: {table: served, value: tokens_per_second, where: {form: mla_absorbed, context: 1024, "
        "memory_limit: " +
            memory +
            "}, compare: ratio, against: {form: gqa}, match: [shape, dtype, device, context, requests, "
            "memory_limit], expect: above, bound: " +
            bound + "}",
        {}, {file});
  };
  CHECK(judged("24", "4.7").effect.value == Approx(4.5));
  CHECK(judged("24", "4.7").verdict == ClaimVerdict::does_not_hold);
  CHECK(judged("40", "2.3").verdict == ClaimVerdict::holds);
  CHECK(judged("64", "1.4").verdict == ClaimVerdict::no_data);
}

FitRow fit(const std::string& student, int64_t seed, int64_t step, double error) {
  return {.seed = seed,
          .step = step,
          .cached = 32,
          .parameters = 9000,
          .error = error,
          .teacher = "mla",
          .student = student,
          .start = "random"};
}

Measurements fits() {
  auto file = file_of("fits.measured.h5");
  for (int64_t seed = 0; seed < 3; ++seed) {
    const double noise = 0.01 * static_cast<double>(seed - 1);
    file.fits.push_back(fit("gqa", seed, 0, 9));
    file.fits.push_back(fit("gqa", seed, 100, 0.2 + noise));
    file.fits.push_back(fit("mla", seed, 0, 9));
    file.fits.push_back(fit("mla", seed, 100, 0.05));
  }
  return file;
}

TEST_CASE("fits are judged after their last step, with an interval over seeds") {
  const std::string head = "- measured: {table: fits, value: error, where: {student: gqa";
  auto result = judge_tests(head + "}, expect: above, bound: 0.01}", {}, {fits()});
  CHECK(result.effect.value == Approx(0.2));
  CHECK(result.effect.half_width() == Approx(0.024841).epsilon(1e-4));
  CHECK(result.seeds == 3);
  CHECK(result.verdict == ClaimVerdict::holds);
  CHECK(result.p == Approx(0.000921928).epsilon(1e-3));  // t = 0.19 / (0.01 / √3) = 32.909
  CHECK(judge_tests(head + "}, expect: above, bound: 0.19}", {}, {fits()}).verdict == ClaimVerdict::not_shown);
  CHECK(judge_tests(head + "}, expect: above, bound: 0.3}", {}, {fits()}).verdict ==
        ClaimVerdict::does_not_hold);
  CHECK(judge_tests(head + ", step: 0}, expect: above, bound: 8}", {}, {fits()}).effect.value == 9);
}

TEST_CASE("fits of two students are paired by seed") {
  const std::string test =
      "- measured: {table: fits, value: error, where: {student: gqa}, compare: difference, "
      "against: {student: mla}, expect: above, bound: 0}";
  auto file = fits();
  auto result = judge_tests(test, {}, {file});
  CHECK(result.effect.value == Approx(0.15));
  CHECK(result.effect_size == Approx(15));
  CHECK(result.verdict == ClaimVerdict::holds);
  file.fits.resize(4);
  result = judge_tests(test, {}, {file});
  CHECK(result.verdict == ClaimVerdict::not_shown);
  CHECK(result.why == "one seed tells nothing of the scatter over seeds");
}

// A latent against two policies that keep as many bytes, in the share of problems solved.
std::vector<Measurements> kept_caches(double latent) {
  auto file = file_of();
  const auto add = [&](const std::string& arm, const std::string& policy, double share, double value) {
    file.caches.push_back({.n = 100,
                           .share = share,
                           .value = value,
                           .low = value - 0.03,
                           .high = value + 0.04,
                           .study = "s",
                           .arm = arm,
                           .policy = policy,
                           .storage = "dense",
                           .behind = "prompt",
                           .measure = "passkey",
                           .settings = policy});
  };
  add("gqa", "h2o", 0.25, 0.6);
  add("gqa", "tova", 0.25, 0.5);
  add("gqa", "tova", 0.5, 0.99);
  add("mla", "all", 1, latent);
  return {file};
}

TEST_CASE(
    "a way of keeping a cache is compared with the best of several, with the ends that two intervals make") {
  const std::string test =
      "- measured: {table: caches, value: value, where: {arm: mla, policy: all}, compare: difference, against: "
      "{arm: gqa, policy: \"h2o, tova\", share: 0.25}, match: [study, measure, behind], expect: above, bound: "
      "0}";
  const auto holds = judge_tests(test, {}, kept_caches(0.7));
  CHECK(holds.verdict == ClaimVerdict::holds);
  CHECK(holds.experiment == "s, passkey");
  CHECK(holds.effect.value == Approx(0.1));  // over h2o, the better one
  CHECK(holds.effect.low == Approx(0.1 - std::hypot(0.03, 0.04)));
  CHECK(holds.effect.high == Approx(0.1 + std::hypot(0.04, 0.03)));
  CHECK(judge_tests(test, {}, kept_caches(0.64)).verdict == ClaimVerdict::not_shown);
  CHECK(judge_tests(test, {}, kept_caches(0.5)).verdict == ClaimVerdict::does_not_hold);
}

}  // namespace
}  // namespace attnlab
