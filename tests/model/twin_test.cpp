// Every family's tiny model against the naive twin: logits, files, and generation with the cache.
#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "family_cases.h"
#include "model/families/families.h"
#include "model/generate.h"
#include "model/padded_batch.h"

namespace attnlab {
namespace {

using reference::Values;
using test::family_cases;
using test::FamilyCase;
using Ids = std::vector<int64_t>;

// Models this small are 30 times slower on two threads of a busy machine than on one.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

struct Model {
  OneThread one_thread;
  FamilyCase family;
  DecoderConfig config;
  TensorMap weights;
  reference::NamedValues tensors;
  std::shared_ptr<Decoder> decoder;

  explicit Model(const FamilyCase& from, uint64_t seed = 1)
      : family(from),
        config(read_decoder_config(nlohmann::json::parse(from.json.dump()), "config.json")),
        weights(test::family_weights(config, seed)),
        tensors(test::twin_tensors(config, weights)),
        decoder(std::make_shared<Decoder>(native_form(config))) {
    load_weights(*decoder, weights);
  }
  Values twin_logits(const Ids& ids) const { return reference::decoder_logits(family.twin, tensors, ids); }
};

Ids random_ids(int64_t T, uint64_t seed) {
  torch::manual_seed(seed);
  const auto ids = torch::randint(test::kVocab, {T}, torch::kInt64);
  return {ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + T};
}

double largest(const Values& values) {
  double found = 0;
  for (const double value : values) found = std::max(found, std::abs(value));
  return found;
}

double distance(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double found = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i] - b[i])) return INFINITY;
    found = std::max(found, std::abs(a[i] - b[i]));
  }
  return found;
}

// Three sources of error.
// Angles: the library's are float32 in every format, as in the released models' own code. Frequency, factor and
// product round three to four times, by 2^-24 of the angle each. The logits' sensitivity to that is measured:
// what the twin's move by if all angles are 2^-20 larger.
// Sums: 2^-24 (float32) or 2^-53 of the largest logit for each term summed along the chain of matrices (a sum
// of n terms errs by n eps Σ|terms| at worst, by √n √n eps of its own size where signs are random); a layer
// sums over the width twice, a head, T tokens, all heads and the MLP's width.
// Routing: experts' shares are float32 in every format, too, and round four times a layer (two exponentials'
// quotient, their sum, its quotient).
double tolerance(const Model& model, const Ids& ids, const Values& expected, double eps) {
  reference::TwinConfig turned = model.family.twin;
  turned.rope.angle_scale = 1 + std::exp2(-20);
  const double by_angles = distance(reference::decoder_logits(turned, model.tensors, ids), expected);
  const auto T = static_cast<int64_t>(ids.size()), layers = static_cast<int64_t>(turned.windows.size());
  const int64_t layer =
      2 * turned.width + turned.head_dim + T + turned.heads * turned.head_dim + turned.mlp_width;
  const auto terms = static_cast<double>(layers * layer + turned.width);
  const double by_routing = turned.experts > 0 ? std::exp2(-24) * static_cast<double>(4 * layers) : 0;
  return by_angles + (eps * terms + by_routing) * largest(expected);
}

Values library_logits(Decoder& decoder, const std::vector<Ids>& batch, size_t row) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> rows;
  for (const auto& ids : batch) rows.push_back(torch::tensor(ids));
  const auto hidden = decoder.hidden(torch::stack(rows));
  const auto logits = decoder.logits(hidden)[static_cast<int64_t>(row)].to(torch::kFloat64).contiguous();
  return {logits.data_ptr<double>(), logits.data_ptr<double>() + logits.numel()};
}

void check_logits(Model& model, int64_t T, double eps) {
  const std::vector<Ids> batch{random_ids(T, 11), random_ids(T, 12)};
  for (size_t row = 0; row < batch.size(); ++row) {
    INFO(model.family.name << ", T = " << T << ", row " << row << ", eps " << eps);
    const Values expected = model.twin_logits(batch[row]);
    CHECK(distance(library_logits(*model.decoder, batch, row), expected) <
          tolerance(model, batch[row], expected, eps));
  }
}

// T = 1, longrope's last short sequence, its first long one, and a length that no block size divides.
TEST_CASE("logits of every family are those of the naive twin") {
  for (const auto& family : family_cases()) {
    Model model(family);
    for (const int64_t T : {1, 16, 17, 23}) check_logits(model, T, std::exp2(-24));
    model.decoder->to(torch::kFloat64);
    for (const int64_t T : {1, 16, 17, 23}) check_logits(model, T, std::exp2(-53));
  }
}

// The comparison above can fail: each feature moves the logits by far more than rounding does.
TEST_CASE("the twin notices a window, a cap, a factor or an expert that is left out") {
  const auto moved = [](const FamilyCase& family, const auto& change) {
    const Model model(family);
    const Ids ids = random_ids(23, 11);
    reference::TwinConfig other = family.twin;
    change(other);
    const Values expected = model.twin_logits(ids);
    return distance(reference::decoder_logits(other, model.tensors, ids), expected) /
           tolerance(model, ids, expected, std::exp2(-24));
  };
  for (const auto& family : family_cases()) {
    INFO(family.name);
    const auto& twin = family.twin;
    for (size_t i = 0; i < twin.windows.size(); ++i)
      if (twin.windows[i] > 0) CHECK(moved(family, [&](auto& other) { ++other.windows[i]; }) > 50);
    if (twin.score_cap > 0) CHECK(moved(family, [](auto& other) { other.score_cap = 0; }) > 50);
    if (twin.logit_cap > 0) CHECK(moved(family, [](auto& other) { other.logit_cap = 0; }) > 50);
    if (twin.window_theta > 0) CHECK(moved(family, [](auto& other) { other.window_theta = 0; }) > 50);
    if (!twin.rope.type.empty()) CHECK(moved(family, [](auto& other) { other.rope.type = ""; }) > 50);
    if (twin.rope.table_factor != 1)
      CHECK(moved(family, [](auto& other) { other.rope.table_factor = 1; }) > 50);
    if (twin.experts > 0) CHECK(moved(family, [](auto& other) { --other.experts_per_token; }) > 50);
    if (twin.groups > 1) CHECK(moved(family, [](auto& other) { other.groups_used = other.groups; }) > 50);
    if (twin.experts > 0) CHECK(moved(family, [](auto& other) { other.shares_sum = !other.shares_sum; }) > 50);
    CHECK(moved(family, [](auto& other) { other.query_scalar += 1; }) > 50);
    CHECK(moved(family, [](auto& other) { other.rope.interleaved = !other.rope.interleaved; }) > 50);
  }
}

TEST_CASE("a family's files survive being read and written: same tensors, same logits bit for bit") {
  const Ids ids = random_ids(23, 11);
  for (const auto& family : family_cases()) {
    INFO(family.name);
    const Model model(family);
    const TensorMap files = to_file_tensors(model.config, model.weights);
    for (const auto& name : family.holds) CHECK(files.count(name) == 1);
    for (const auto& name : family.lacks) CHECK(files.count(name) == 0);
    const Values expected = library_logits(*model.decoder, {ids}, 0);
    const test::TemporaryFolder folder;
    write_checkpoint(folder.path(), write_decoder_config(model.config), files);
    const auto checkpoint = Checkpoint::open(folder.path());
    CHECK(fields_equal(read_decoder_config(checkpoint.config(), "config.json"), model.config));
    const TensorMap read = read_base_weights(checkpoint, model.config);
    REQUIRE(read.size() == model.weights.size());
    for (const auto& [name, tensor] : model.weights) CHECK(torch::equal(read.at(name), tensor));
    CHECK(library_logits(*load_decoder(checkpoint, torch::kFloat32, torch::kCPU), {ids}, 0) == expected);
  }
}

// The sequence as far as frequencies and causality let one forward pass give what follows each of its first
// `length` tokens: longrope's short sequences are a pass of their own, and of dynamic's long ones each is.
Ids pass_of(const Model& model, const Ids& ids, int64_t length) {
  const auto& rope = model.family.twin.rope;
  const auto all = static_cast<int64_t>(ids.size());
  const bool switches = rope.type == "longrope" || rope.type == "dynamic";
  if (switches && length <= rope.original) return {ids.begin(), ids.begin() + std::min(all, rope.original)};
  return {ids.begin(), ids.begin() + (rope.type == "dynamic" ? length : all)};
}

// The twin's logits after the first n tokens, for n = first … all.
std::vector<Values> twin_next(const Model& model, const Ids& ids, int64_t first) {
  std::vector<Values> next;
  Ids pass;
  Values logits;
  for (int64_t n = first; n <= static_cast<int64_t>(ids.size()); ++n) {
    if (pass != pass_of(model, ids, n)) {
      pass = pass_of(model, ids, n);
      logits = model.twin_logits(pass);
    }
    next.emplace_back(logits.begin() + (n - 1) * test::kVocab, logits.begin() + n * test::kVocab);
  }
  return next;
}

double tolerance(const Model& model, const Ids& ids) {
  return tolerance(model, ids, model.twin_logits(ids), std::exp2(-53));
}

// Random tokens are fed after the prompts, so that what is generated cannot become a loop. At a third of the
// steps rows leave and the others change places.
void check_cache(Model& model, const std::vector<Ids>& prompts, int64_t steps, int64_t chunk) {
  const torch::NoGradGuard no_grad;
  model.decoder->to(torch::kFloat64);
  std::vector<Ids> fed;
  std::vector<std::vector<Values>> expected;
  std::vector<double> rounding;
  std::vector<int64_t> rows;  // of the batch, as indices of prompts
  for (const auto& prompt : prompts) {
    rows.push_back(static_cast<int64_t>(rows.size()));
    fed.push_back(random_ids(steps, 500 + prompt.size()));
    Ids all = prompt;
    all.insert(all.end(), fed.back().begin(), fed.back().end());
    expected.push_back(twin_next(model, all, static_cast<int64_t>(prompt.size())));
    rounding.push_back(tolerance(model, all));
  }
  PaddedBatch batch(*model.decoder, prompts, steps, chunk);
  auto logits_BV = batch.prefill();
  for (int64_t step = 0;; ++step) {
    Ids tokens;
    for (size_t b = 0; b < rows.size(); ++b) {
      const auto row = static_cast<size_t>(rows[b]), at = static_cast<size_t>(step);
      INFO("prompt of " << prompts[row].size() << ", after " << step << " steps, chunks of " << chunk);
      const double* found = logits_BV.data_ptr<double>() + static_cast<int64_t>(b) * test::kVocab;
      CHECK(distance({found, found + test::kVocab}, expected[row][at]) < rounding[row]);
      if (step < steps) tokens.push_back(fed[row][at]);
    }
    if (step == steps) return;
    if (step == steps / 3 && rows.size() > 1) {
      rows.pop_back();
      std::reverse(rows.begin(), rows.end());
      batch.keep(rows);
      tokens.pop_back();
      std::reverse(tokens.begin(), tokens.end());
    }
    logits_BV = batch.step(torch::tensor(tokens)).contiguous();
  }
}

// Prompts shorter and longer than the windows; rows cross longrope's switch after 15, 9, 3 and 1 tokens, or
// have crossed it.
std::vector<Ids> ragged_prompts() {
  std::vector<Ids> prompts;
  for (const int64_t n : {2, 8, 14, 16, 17, 21})
    prompts.push_back(random_ids(n, 200 + static_cast<uint64_t>(n)));
  return prompts;
}

TEST_CASE("logits through the cache are the naive twin's, in ragged batches and alone, in pieces and in one") {
  const auto prompts = ragged_prompts();
  for (const auto& family : family_cases()) {
    INFO(family.name);
    Model model(family);
    for (const int64_t chunk : {1, 4, 512}) check_cache(model, prompts, 18, chunk);
    for (const int64_t chunk : {1, 4}) check_cache(model, {prompts[2]}, 4, chunk);
  }
}

// A window's cache moves its tokens to the front every few dozen steps; a prompt may be longer than all of it.
TEST_CASE("a window's cache stays right through sequences many times its length") {
  for (const auto& family : family_cases()) {
    if (std::ranges::max(family.twin.windows) == 0) continue;
    INFO(family.name);
    Model model(family);
    for (const int64_t chunk : {7, 512})
      check_cache(model, {random_ids(90, 6), random_ids(3, 5), random_ids(20, 7)}, 81, chunk);
    check_cache(model, {random_ids(3, 5)}, 81, 512);
  }
}

// Each token is the twin's likeliest after those before it. Near ties would make that a coin's toss: the gap to
// the second must be far above rounding.
void check_likeliest(const Model& model, const Ids& prompt, const Ids& tokens) {
  Ids ids = prompt;
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  auto expected = twin_next(model, ids, static_cast<int64_t>(prompt.size()));
  const double rounding = tolerance(model, ids);
  for (size_t i = 0; i < tokens.size(); ++i) {
    INFO("token " << i << " after a prompt of " << prompt.size());
    auto& logits = expected[i];
    const auto best = std::max_element(logits.begin(), logits.end());
    const double highest = *best;
    REQUIRE(tokens[i] == best - logits.begin());
    *best = -INFINITY;
    REQUIRE(highest - *std::max_element(logits.begin(), logits.end()) > 2 * rounding);
  }
}

// What each prompt is followed by if it is alone and goes through the decoder in one piece, which the twin
// confirms. In float64, so that gaps between tokens are far above rounding.
std::vector<Ids> confirmed_alone(Model& model, const std::vector<Ids>& prompts, int64_t count) {
  model.decoder->to(torch::kFloat64);
  std::vector<Ids> alone;
  for (const auto& prompt : prompts) {
    alone.push_back(generate(*model.decoder, {prompt}, {.max_new_tokens = count})[0]);
    REQUIRE(static_cast<int64_t>(alone.back().size()) == count);
    check_likeliest(model, prompt, alone.back());
  }
  return alone;
}

// The part before the first `stop`.
Ids until(const Ids& tokens, int64_t stop) {
  return {tokens.begin(), std::find(tokens.begin(), tokens.end(), stop)};
}

TEST_CASE("generation with the cache gives the twin's likeliest tokens in every family") {
  const auto prompts = ragged_prompts();
  for (const auto& family : family_cases()) {
    INFO(family.name);
    Model model(family);
    const auto expected = confirmed_alone(model, prompts, 18);
    for (const int64_t chunk : {1, 4, 512})
      CHECK(generate(*model.decoder, prompts, {.max_new_tokens = 18, .prefill_chunk = chunk}) == expected);
    // Rows leave the batch at different steps, before and after others cross the switch.
    for (const int64_t stop : {expected[1][3], expected[3][6]}) {
      std::vector<Ids> ended;
      for (const auto& tokens : expected) ended.push_back(until(tokens, stop));
      CHECK(generate(*model.decoder, prompts,
                     {.max_new_tokens = 18, .stop_tokens = {stop}, .prefill_chunk = 4}) == ended);
    }
  }
}

}  // namespace
}  // namespace attnlab
