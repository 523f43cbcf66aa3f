// Sequences that grow in rows of fixed places, against the same in padded batches.
#include "attention/attend.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/shapes_repeat.h"
#include "catch.h"
#include "generate_ways.h"
#include "kernels/grouped.h"
#include "model/row_batch.h"
#include "running_mean.h"

namespace attnlab {
namespace {

using test::lively_weights;
using test::make_decoder;
using test::ragged_prompts;
using test::small_config;
using Prompts = std::vector<std::vector<int64_t>>;

// Ragged prompts behind one beginning, longer than what is worth sharing.
Prompts behind_examples(int64_t count, int64_t beginning = 19) {
  Prompts prompts = ragged_prompts(count);
  std::vector<int64_t> examples;
  for (int64_t t = 0; t < beginning; ++t) examples.push_back((5 * t + t * t) % 37);
  for (auto& prompt : prompts) prompt.insert(prompt.begin(), examples.begin(), examples.end());
  return prompts;
}

GenerateOptions in_batches(int64_t max_new_tokens, std::vector<int64_t> stops = {}) {
  return {.max_new_tokens = max_new_tokens, .stop_tokens = std::move(stops), .in_rows = false};
}

// Places that are taken anew, widths that grow in small steps, several steps before the host looks, prompts in
// pieces, with and without what is shared.
std::vector<GenerateOptions> row_ways(const GenerateOptions& options) {
  std::vector<GenerateOptions> ways;
  for (const size_t rows : {0, 3})
    for (const int64_t chunk : {5, 512})
      for (const bool share : {false, true})
        for (const int64_t steps : {1, 7}) {
          GenerateOptions way = options;
          way.in_rows = true;
          way.batch_rows = rows, way.prefill_chunk = chunk, way.share_beginning = share;
          way.steps_at_a_time = steps, way.width_step = steps;
          ways.push_back(way);
        }
  return ways;
}

void check_ways(Decoder& decoder, const Prompts& prompts, const GenerateOptions& options, bool rows = true) {
  auto batches = options;
  batches.in_rows = false;
  const auto expected = generate(decoder, prompts, batches);
  for (auto way : row_ways(options)) {
    INFO("rows " << way.batch_rows << ", chunk " << way.prefill_chunk << ", shared " << way.share_beginning
                 << ", steps " << way.steps_at_a_time);
    GenerateReport report;
    way.report = &report;
    CHECK(generate(decoder, prompts, way) == expected);
    CHECK(report.in_rows == rows);
    if (rows) CHECK(report.shared_tokens == (way.share_beginning ? 19 : 0));
  }
}

bool has_fixed_states(const Decoder& decoder) {
  for (const auto& layer : decoder.layers())
    if (fixed_numbers(layer->mixer()->state_layout()) > 0) return true;
  return false;
}

TEST_CASE("rows of fixed places give the tokens of padded batches, in every variant and hybrid") {
  const auto prompts = behind_examples(8);
  for (const auto& form : test::all_forms(small_config())) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    const int64_t stop = generate(*decoder, {prompts[1]}, in_batches(9))[0][4];
    check_ways(*decoder, prompts, {.max_new_tokens = 11, .stop_tokens = {stop}}, !has_fixed_states(*decoder));
  }
}

TEST_CASE("rows give the tokens of padded batches where layers have a window, alone or in turn") {
  for (const auto family : {Family::mistral, Family::gemma2}) {
    auto config = small_config();
    config.family = family;
    config.window = 4;
    if (family == Family::gemma2) config.attention_softcap = 30, config.final_softcap = 20;
    const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
    check_ways(*decoder, behind_examples(7), {.max_new_tokens = 14});
  }
}

TEST_CASE("rows give the tokens of padded batches with experts, and draw the same random numbers") {
  const auto experts = test::small_experts();
  const auto moe = make_decoder(native_form(experts), lively_weights(experts));
  check_ways(*moe, behind_examples(6), {.max_new_tokens = 6});
  CHECK_THAT(RowBatch::recording_problem(*moe).value_or("none"), !ContainsSubstring("none"));

  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  check_ways(*decoder, behind_examples(9),
             {.max_new_tokens = 8, .sampling = {.temperature = 0.8, .top_p = 0.9}, .seed = 5});
}

TEST_CASE(
    "a beginning is shared if two prompts have it and it is long enough, and each has a token of its own") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), MlaIdentity::Config{});
  const auto shared = [&](const Prompts& prompts) {
    GenerateReport report;
    auto options = in_batches(4);
    const auto expected = generate(*decoder, prompts, options);
    options.in_rows = true, options.report = &report;
    CHECK(generate(*decoder, prompts, options) == expected);
    return report.shared_tokens;
  };
  CHECK(shared({behind_examples(1)[0]}) == 0);  // alone
  CHECK(shared(behind_examples(5, 15)) == 0);   // of 15 tokens
  CHECK(shared(behind_examples(5, 16)) == 16);
  const auto twice = behind_examples(1, 20);  // of 21 tokens
  CHECK(shared({twice[0], twice[0]}) == 20);
  auto odd = behind_examples(5, 30);
  odd[3][17] += 1;
  CHECK(shared(odd) == 17);
}

TEST_CASE("what can't grow in rows says why, and goes in batches") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const auto why = [](Decoder& of, GenerateOptions options) {
    GenerateReport report;
    options.max_new_tokens = 4, options.report = &report;
    generate(of, ragged_prompts(3), options);
    CHECK_FALSE(report.in_rows);
    return report.why_not;
  };
  const auto plan = [](const CacheConfig& cache) { return GenerateOptions{.cache = make_cache_plan(cache)}; };
  CHECK_THAT(why(*decoder, plan({.policy = {.policy = CachePolicyName::window, .budget = 4}})),
             ContainsSubstring("policy"));
  CHECK_THAT(why(*decoder, plan({.policy = {.policy = CachePolicyName::lazyllm}})),
             ContainsSubstring("policy"));
  CHECK_THAT(why(*decoder, plan({.storage = {.name = CacheStorageName::int8}})),
             ContainsSubstring("codes tokens"));
  CHECK_THAT(why(*decoder, {.in_rows = false}), ContainsSubstring("not asked for"));
  CHECK_THAT(why(*test::mean_decoder(config), {}), ContainsSubstring("fixed size"));
  auto dynamic = config;
  dynamic.max_positions = 8;
  dynamic.rope_scaling = RopeScaling{.type = RopeType::dynamic, .factor = 2, .original_positions = 8};
  CHECK_THAT(why(*make_decoder(dynamic, lively_weights(dynamic), Gqa::Config{}), {}),
             ContainsSubstring("frequencies"));
}

TEST_CASE("a row's logits depend on nothing that stood in its place before, nor on rows beside it") {
  const torch::NoGradGuard no_grad;
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), MlaOrthogonal::Config{.rank = 5});
  decoder->to(torch::kFloat64);
  const auto logits_of = [&](bool after_another) {
    RowBatch batch(*decoder, {.rows = 2, .longest = 30, .width_step = 8});
    if (after_another) {
      batch.enter({0, 1}, {{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, {1}});
      batch.grow(5, {.tokens_R = {3, 4}, .columns_R = {12, 1}}, {});
    }
    return batch.enter({0}, {{5, 6, 7}});
  };
  const auto whole = decoder->logits(decoder->hidden(torch::tensor({{5, 6, 7}})).select(1, -1));
  CHECK(torch::allclose(logits_of(false), whole, 1e-12, 1e-12));
  CHECK(torch::equal(logits_of(true), logits_of(false)));
}

TEST_CASE("places that stand empty for a while keep the beginning for those that enter") {
  const auto config = small_config();
  const auto decoder = make_decoder(config, lively_weights(config), Gqa::Config{});
  const auto prompts = behind_examples(70);
  const auto free = generate(*decoder, prompts, in_batches(12));
  const int64_t stop = free[0][2];
  const auto expected = generate(*decoder, prompts, in_batches(12, {stop}));
  REQUIRE(expected != free);
  // Of 48 places three must be free before prompts enter.
  for (const int64_t steps : {1, 3})
    CHECK(generate(*decoder, prompts,
                   {.max_new_tokens = 12, .stop_tokens = {stop}, .batch_rows = 48, .steps_at_a_time = steps}) ==
          expected);
}

TEST_CASE("recorded steps give the tokens of launched ones on a GPU, in every variant") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  auto config = small_config();
  config.max_positions = 512;
  const auto prompts = behind_examples(9);
  for (const auto& form : test::all_forms(config)) {
    INFO(form_name(form));
    const auto decoder = make_decoder(form, lively_weights(form.config));
    const auto tokens = [&](bool record, size_t rows) {
      GenerateReport report;
      auto out =
          generate(*decoder, prompts,
                   {.max_new_tokens = 40, .batch_rows = rows, .record_steps = record, .report = &report});
      CHECK((report.recorded_steps > 0) == (record && report.in_rows));
      return out;
    };
    decoder->to(torch::kCUDA);
    for (const size_t rows : {0, 4}) CHECK(tokens(true, rows) == tokens(false, rows));
    // The same as on a CPU, where no rounding decides.
    decoder->to(torch::kCUDA, torch::kFloat64);
    const auto on_gpu = tokens(true, 4);
    decoder->to(torch::kCPU);
    CHECK(on_gpu == generate(*decoder, prompts, in_batches(40)));
  }
}

// Launched and recorded steps take the same kernels here, which find the same tokens though bfloat16 has ties.
TEST_CASE("recorded steps of experts in bfloat16 give the tokens of launched ones on a GPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  if (!has_grouped_products(torch::kCUDA, torch::kBFloat16)) SKIP_TEST("no grouped products on this GPU");
  const torch::NoGradGuard no_grad;
  auto config = small_config();
  config.family = Family::mixtral;
  config.d_model = 24, config.n_heads = 2, config.head_dim = 8, config.d_ff = 16, config.max_positions = 512;
  config.moe = MoeShape{.n_experts = 5, .experts_per_token = 2, .d_ff = 16};
  const auto decoder = make_decoder(native_form(config), lively_weights(config));
  decoder->to(torch::kCUDA);
  CHECK_THAT(RowBatch::recording_problem(*decoder).value_or("none"), ContainsSubstring("experts"));
  decoder->to(torch::kCUDA, torch::kBFloat16);
  CHECK(RowBatch::recording_problem(*decoder).value_or("none") == "none");
  const auto prompts = behind_examples(4);
  const auto grown = [&](bool record) {
    RowBatch batch(*decoder, {.rows = 4, .longest = 100, .record = record, .width_step = 128});
    RowTips tips{.tokens_R = {3, 14, 15, 9}, .columns_R = {}};
    for (const auto& prompt : prompts) tips.columns_R.push_back(std::ssize(prompt));
    batch.enter({0, 1, 2, 3}, prompts);
    std::vector<torch::Tensor> tokens;
    for (int64_t round = 0; round < 3; ++round) {
      tokens.push_back(batch.grow(8, tips, {}).clone());
      for (size_t row = 0; row < 4; ++row) tips.columns_R[row] += 8, tips.tokens_R[row] = round;
    }
    CHECK((batch.replayed() > 0) == record);
    return torch::cat(tokens);
  };
  CHECK(torch::equal(grown(true), grown(false)));
}

TEST_CASE("where shapes repeat, one query of rows of different lengths gets what it gets elsewhere") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  const auto half = torch::dtype(torch::kBFloat16).device(torch::kCUDA);
  for (const int64_t B : {1, 5})
    for (const int64_t H : {64, 128}) {
      const auto q = torch::randn({B, 6, 1, H}, half);
      const auto cache = [&] { return torch::randn({B, 192, 2, H}, half).transpose(1, 2); };
      const auto k = cache(), v = cache();
      const auto ends = torch::arange(B, half.dtype(torch::kInt64)).view({B, 1, 1, 1}) * 30 + 40;
      const auto mask = torch::arange(192, half.dtype(torch::kInt64)) < ends;
      const auto wide = [](const torch::Tensor& x) { return x.to(torch::kCPU, torch::kFloat64); };
      const auto exact = attend(wide(q), wide(k), wide(v), mask.cpu());
      // Weights and results are rounded to 8 bits; a sum of weights is 1.
      const double tolerance = 2 * 0x1p-8 * v.abs().max().item<double>();
      CHECK((wide(attend(q, k, v, mask)) - exact).abs().max().item<double>() < tolerance);
      const ShapesRepeat repeat;
      CHECK((wide(attend(q, k, v, mask)) - exact).abs().max().item<double>() < tolerance);
    }
}

}  // namespace
}  // namespace attnlab
