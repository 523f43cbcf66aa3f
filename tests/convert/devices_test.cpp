// A conversion on several devices of one host: devices work at the same time, and the result has the bits of
// one. The devices are CPUs here, which computes the same as GPUs of one kind would: batches, sums and their
// order are dealt alike.
#include "convert/devices.h"

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "aborts.h"
#include "attention/care.h"
#include "attention/gla.h"
#include "attention/mha2mla.h"
#include "attention/mla_deepseek.h"
#include "attention/mla_v2.h"
#include "biased_decoder.h"
#include "catch.h"
#include "convert/conversion_json.h"
#include "core/errors.h"

namespace attnlab::test {
namespace {

Devices cpus(size_t count) { return Devices(std::vector<torch::Device>(count, torch::kCPU)); }

TEST_CASE("a GPU is named once, and no CPU beside it") {
  const auto named = [](const std::vector<std::string>& names) {
    return Devices({names.begin(), names.end()});
  };
  CHECK(named({"cuda:1", "cuda"}).at(1) == torch::Device("cuda:0"));
  CHECK(named({"cuda"}).first() == torch::Device("cuda"));
  CHECK(named({"cpu", "cpu"}).size() == 2);
  CHECK_THROWS_WITH(named({"cuda", "cuda:0"}), "--device: found cuda:0 twice, expected each GPU once");
  CHECK_THROWS_WITH(named({"cuda:0", "cpu"}),
                    "--device: found cpu beside cuda:0, expected devices of one kind");
  CHECK(aborts([&] { named({}); }));
}

TEST_CASE("devices work at the same time, with the caller's gradients off") {
  std::atomic<int> there = 0, with_gradients = 0;
  const torch::NoGradGuard no_grad;
  cpus(3).at_once(3, [&](size_t) {
    ++there;
    for (int i = 0; i < 20000 && there < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    with_gradients += torch::GradMode::is_enabled();
  });
  CHECK(with_gradients == 0);
  CHECK(there == 3);  // none would have waited for those behind it, one after the other
}

TEST_CASE("what a device throws reaches the caller, when all are done") {
  std::atomic<int> done = 0;
  const auto work = [&](size_t device) {
    if (device > 0) throw RunError("device " + std::to_string(device));
    ++done;
  };
  CHECK_THROWS_WITH(cpus(3).at_once(3, work), "device 1");
  CHECK(done == 1);
}

TEST_CASE("each batch is visited once, by its device, in order") {
  std::vector<std::vector<size_t>> seen(3);
  const Devices devices = cpus(3);
  devices.each_batch(8, [&](size_t batch) { seen[devices.index_of(batch)].push_back(batch); });
  CHECK(seen == std::vector<std::vector<size_t>>{{0, 3, 6}, {1, 4, 7}, {2, 5}});
  devices.each_batch(0, [](size_t) { FAIL("no batch"); });
}

// Parts of which float32 makes another sum in any other order.
torch::Tensor part_of(size_t batch, int64_t which) {
  torch::manual_seed(static_cast<uint64_t>(batch) * 7 + static_cast<uint64_t>(which));
  return torch::randn({50}) * std::pow(10.0, static_cast<double>(batch % 3));
}

TEST_CASE("sums are made in the order of batches, however many devices there are") {
  std::vector<std::vector<torch::Tensor>> parts(7);
  torch::Tensor expected = torch::zeros({50}), turned = torch::zeros({50});
  for (size_t batch = 0; batch < 7; ++batch)
    for (int64_t which = 0; which < 2; ++which) parts[batch].push_back(part_of(batch, which));
  for (size_t batch = 0; batch < 7; ++batch)
    for (size_t which = 0; which < 2; ++which) {
      expected = expected + parts[batch][which];
      turned = turned + parts[6 - batch][which];
    }
  CHECK_FALSE(torch::equal(expected, turned));
  for (const size_t count : {1, 2, 3, 5, 9}) {
    const auto sums = sum_in_order(cpus(count), 7, [&](size_t batch, const AddPart& add) {
      if (batch == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // others are done earlier
      for (const auto& part : parts[batch]) add("all", part.clone());
      if (batch == 4) add("one", parts[4][0].clone());
    });
    CAPTURE(count);
    CHECK(torch::equal(sums.at("all"), expected));
    CHECK(torch::equal(sums.at("one"), parts[4][0]));
    CHECK(sums.size() == 2);
  }
}

// Rows of 24 tokens in batches of a few: seven for calibration, the last one short, and three to measure on.
ConversionData text_in_batches(const DecoderConfig& config) {
  const auto cut = [](const torch::Tensor& ids_NT, int64_t rows) {
    TokenBatches batches;
    for (int64_t first = 0; first < ids_NT.size(0); first += rows)
      batches.ids_BT.push_back(ids_NT.slice(0, first, first + rows).contiguous());
    return batches;
  };
  return {.calibration = cut(random_rows(config.vocab_size, 20, 24, 1), 3),
          .heldout = cut(random_rows(config.vocab_size, 5, 24, 2), 2)};
}

struct Case {
  std::string what;
  DecoderConfig config;
  std::vector<ConversionStep> steps;
  TransformOptions how = {};
};

std::vector<Case> all_cases() {
  const auto gqa = biased_config();
  DecoderConfig normed = gqa;
  normed.family = Family::qwen3;
  normed.qkv_bias = normed.o_bias = false;
  DecoderConfig wide = gqa;
  wide.d_model = 32;
  wide.d_ff = 64;
  wide.n_heads = 4;
  DecoderConfig experts = wide;
  experts.family = Family::mixtral;
  experts.qkv_bias = experts.o_bias = false;
  experts.moe = MoeShape{.n_experts = 4, .experts_per_token = 2, .d_ff = 32};
  const std::vector<int64_t> all{0, 1, 2};
  const auto to = [&](const ConversionTarget& target) { return std::vector<ConversionStep>{{target, all}}; };
  const auto variant = [&](const VariantConfig& config) { return to(config); };
  const MlaDeepseek::Config deepseek{.kv_lora_rank = 12, .latent_norm = LatentNorm::calibrated};
  const Mha2Mla::Config mha2mla{.kv_lora_rank = 10, .qk_rope_head_dim = 4};
  const GptqOptions gptq{.bits = 4, .group_size = 16, .act_order = true};
  return {{"rewritten weights", gqa, variant(MlaV2::Config{})},
          {"mla_deepseek, freqfold chosen", gqa, variant(deepseek)},
          {"mla_deepseek with norms of heads",
           normed,
           variant(MlaDeepseek::Config{.kv_lora_rank = 12}),
           {.approximate_qk_norm = true}},
          {"care, ranks chosen", gqa, variant(Care::Config{.rank = 6})},
          {"mha2mla", gqa, variant(mha2mla)},
          {"gla", gqa, variant(Gla::Config{.latent_width = 5})},
          {"slicegpt", gqa, to(SliceOptions{.width = 12})},
          {"gptq", wide, to(gptq)},
          {"gptq of experts", experts, to(gptq)}};
}

MemoryConversion converted(const Case& one, const Devices& devices) {
  const auto transform = make_transform(native_form(one.config), one.steps, one.how);
  return convert_in_memory(one.config, biased_weights(one.config), *transform, text_in_batches(one.config),
                           devices, [](const std::string&, int64_t, int64_t) {});
}

TEST_CASE("conversions on several devices have the bits of one, and so has what they tell") {
  for (const Case& one : all_cases()) {
    const auto alone = converted(one, torch::kCPU);
    for (const size_t count : {2, 3}) {
      CAPTURE(one.what, count);
      const auto shared = converted(one, cpus(count));
      CHECK(steps_to_json(shared.settled) == steps_to_json(alone.settled));
      CHECK(to_json(shared.report) == to_json(alone.report));
      REQUIRE(shared.weights.size() == alone.weights.size());
      for (const auto& [name, tensor] : alone.weights) {
        CAPTURE(name);
        CHECK(torch::equal(shared.weights.at(name), tensor));
      }
    }
  }
}

// What a batch takes along is there: a moment of all batches is that of all rows at once. Both are sums of
// P = 480 products in float64 of float32 numbers, so that each errs by less than P ε Σ|x y| <= P ε √(Σx² Σy²).
TEST_CASE("a moment over several devices is that of all rows at once") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto data = text_in_batches(config);
  TensorMap layer;
  for (const auto& [name, tensor] : weights)
    if (name.starts_with("model.layers.0.")) layer[name.substr(15)] = tensor;
  const LayerStream stream(native_form(config), data.calibration, weights.at("model.embed_tokens.weight"),
                           cpus(3));
  const auto& weight = layer.at("self_attn.k_proj.weight");
  const auto& bias = layer.at("self_attn.k_proj.bias");
  const CalibrationInputs inputs(stream, 0, layer);
  const auto moment = inputs.second_moment(weight, bias);
  std::vector<torch::Tensor> rows;
  for (const auto& state : stream.states()) {
    const auto x = at::rms_norm(state, {config.d_model}, layer.at("input_layernorm.weight"), config.norm_eps);
    rows.push_back(torch::linear(x.flatten(0, 1), weight, bias).to(torch::kFloat64));
  }
  const auto y_PH = torch::cat(rows);
  const auto expected = torch::matmul(y_PH.t(), y_PH);
  const auto size = expected.diagonal().sqrt();
  const auto allowed = 2 * 480 * 2.3e-16 * torch::outer(size, size);
  CHECK(((moment - expected).abs() <= allowed).all().item<bool>());
  CHECK(inputs.tokens() == 480);
}

// Keeps what a kill would leave behind.
struct KeptStore final : ConversionStore {
  void put(int64_t layer, const TensorMap& tensors) override { layers[layer] = tensors; }
  std::optional<Position> position() override { return kept; }
  void save(const Position& position) override { kept = position; }
  std::map<int64_t, TensorMap> layers;
  std::optional<Position> kept;
};

TEST_CASE("a conversion goes on at another number of devices, to the same bits") {
  const auto config = biased_config();
  const auto weights = biased_weights(config);
  const auto data = text_in_batches(config);
  const torch::NoGradGuard no_grad;
  const auto run = [&](KeptStore& store, const Devices& devices, int64_t until) {
    const auto source = source_of(config, weights, devices);
    const auto transform = make_transform(native_form(config), {{SliceOptions{.width = 12}, {0, 1, 2}}});
    run_conversion(source, *transform, data, store, torch::kFloat32,
                   [&](const std::string&, int64_t done, int64_t) {
                     if (done == until) throw RunError("killed");
                   });
  };
  KeptStore whole, killed;
  run(whole, torch::kCPU, -1);
  CHECK_THROWS_WITH(run(killed, cpus(2), 1), "killed");
  run(killed, cpus(3), -1);
  for (const auto& [layer, tensors] : whole.layers)
    for (const auto& [name, tensor] : tensors) CHECK(torch::equal(killed.layers.at(layer).at(name), tensor));
}

}  // namespace
}  // namespace attnlab::test
