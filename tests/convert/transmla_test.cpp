// The conversion into DeepSeek's form against what the converter published with the paper gives
// (fxmeng/TransMLA, commit 9c0d254) on small models with random weights.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "attention/mla_deepseek.h"
#include "catch.h"
#include "checkpoint/safetensors.h"
#include "convert/layer_tensors.h"
#include "convert/memory_conversion.h"
#include "core/files.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

fs::path references() { return test::shared_dir() / "fixtures" / "transmla"; }

const std::vector<std::pair<std::string, std::vector<std::string>>> kCases{
    {"llama_gqa",
     {"ff1_full", "ff1_half", "ff2_half", "ff4_third", "ff2_collapse2_full", "ff4_collapse2_half",
      "ff2_half_unbalanced", "ff2_half_qlora", "ff2_half_norm"}},
    {"qwen_bias",
     {"ff1_full", "ff1_half", "ff2_half", "ff4_third", "ff2_collapse2_full", "ff4_collapse2_half",
      "ff2_half_unbalanced", "ff2_half_qlora", "ff2_half_norm"}},
    {"llama_mha", {"ff1_full", "ff4_third", "ff2_half_qlora"}}};

MlaDeepseek::Config options_of(const nlohmann::json& setting) {
  MlaDeepseek::Config config{
      .kv_lora_rank = setting.at("kv").get<int64_t>(),
      .q_lora_rank = setting.contains("q") && !setting["q"].is_null() ? setting["q"].get<int64_t>() : 0,
      .freqfold = std::to_string(setting.at("freqfold").get<int64_t>()),
      .collapse = setting.at("collapse").get<int64_t>(),
      .follow = Follow::published_code};
  config.balance = !setting.contains("bal") || !setting["bal"].is_null();
  if (config.balance && setting.contains("bal")) config.balance_kv_ratio = setting["bal"].get<double>();
  if (setting.value("norm", false)) config.latent_norm = LatentNorm::calibrated;
  return config;
}

// Keeps every stage's tensors of every layer.
class Recorded final : public Transform {
 public:
  explicit Recorded(std::unique_ptr<Transform> inner) : inner_(std::move(inner)), stages_(inner_->stages()) {
    for (size_t i = 0; i < stages_.size(); ++i)
      stages_[i].convert = [this, i, convert = stages_[i].convert](const LayerTask& task, LayerFacts& facts) {
        auto tensors = convert(task, facts);
        for (const auto& [name, tensor] : mixer_of(tensors))
          attention[i][fmt::format("model.layers.{}.self_attn.{}", task.layer, name)] = tensor;
        return tensors;
      };
  }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return inner_->settled(); }
  size_t index(const std::string& name) const {
    for (size_t i = 0; i < stages().size(); ++i)
      if (stages()[i].name == name) return i;
    FAIL("no stage " << name);
    return 0;
  }
  std::map<size_t, TensorMap> attention;

 private:
  std::unique_ptr<Transform> inner_;
  std::vector<Stage> stages_;
};

struct Model {
  explicit Model(const std::string& name)
      : folder(references() / name),
        checkpoint(Checkpoint::open(folder)),
        config(read_decoder_config(checkpoint.config(), folder / "config.json")),
        weights(read_base_weights(checkpoint, config)),
        inputs(SafetensorsFile::open(folder / "inputs.safetensors")) {}
  fs::path folder;
  Checkpoint checkpoint;
  DecoderConfig config;
  TensorMap weights;
  SafetensorsFile inputs;
};

torch::Tensor logits_after(const Model& model, const Recorded& transform, const std::string& stage) {
  const size_t index = transform.index(stage);
  TensorMap weights = transform.attention.at(index);
  for (const auto& [name, tensor] : model.weights)
    if (name.find(".self_attn.") == std::string::npos) weights[name] = tensor;
  const ModelForm& form = transform.stages()[index].form;
  Decoder decoder(form);
  load_weights(decoder, weights);
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(model.inputs.tensor("eval_ids")));
}

double distance(const torch::Tensor& a, const torch::Tensor& b) { return (a - b).abs().max().item<double>(); }

// W_KVB (W_KVA's rows of the latent): independent of the signs and order of directions.
torch::Tensor key_value_product(const torch::Tensor& kv_b, const torch::Tensor& kv_a) {
  return torch::matmul(kv_b.to(torch::kFloat64), kv_a.narrow(0, 0, kv_b.size(1)).to(torch::kFloat64));
}

void check_case(const Model& model, const std::string& name) {
  INFO(model.folder.filename().string() << ", " << name);
  const auto expected = SafetensorsFile::open(model.folder / (name + ".safetensors"));
  const auto options = options_of(nlohmann::json::parse(read_file(model.folder / (name + ".json"))));
  Recorded transform(make_transform(model.config, options));
  const ConversionData data{make_batches(model.inputs.tensor("calibration_ids")),
                            make_batches(model.inputs.tensor("eval_ids"))};
  const auto done = convert_in_memory(model.config, model.weights, transform, data, torch::kCPU,
                                      [](const std::string&, int64_t, int64_t) {});
  const std::string last = options.latent_norm == LatentNorm::calibrated ? "latent_norm" : "compress";
  // float32 logits near 1, two layers, eigenvectors of float64 moments of float32 outputs.
  CHECK(distance(logits_after(model, transform, "remove_rope"), expected.tensor("logits_partial_rope")) < 5e-5);
  CHECK(distance(logits_after(model, transform, last), expected.tensor("logits_mla")) < 5e-5);
  const size_t compress = transform.index("compress");
  for (int64_t i = 0; i < model.config.n_layers; ++i) {
    INFO("layer " << i);
    if (options.balance)
      CHECK(done.report.stages[compress].layers[static_cast<size_t>(i)].at("balance_ratio") ==
            Approx(expected.tensor("balance_ratio")[i].item<double>()).epsilon(1e-5));
    const auto ours = [&](const char* part) {
      return transform.attention.at(transform.index(last))
          .at(fmt::format("model.layers.{}.self_attn.{}.weight", i, part));
    };
    const auto theirs = [&](const char* part) {
      return expected.tensor(fmt::format("mla/layers.{}.{}.weight", i, part));
    };
    const auto product = key_value_product(theirs("kv_b_proj"), theirs("kv_a_proj_with_mqa"));
    CHECK(distance(key_value_product(ours("kv_b_proj"), ours("kv_a_proj_with_mqa")), product) <
          1e-4 * product.abs().max().item<double>());
    if (options.latent_norm == LatentNorm::calibrated)
      CHECK(ours("kv_a_layernorm")[0].item<double>() ==
            Approx(theirs("kv_a_layernorm")[0].item<double>()).epsilon(1e-5));
  }
}

TEST_CASE("every reference case of the published converter comes out") {
  if (!fs::exists(references())) SKIP_TEST("no reference conversions beside the checkout");
  for (const auto& [name, settings] : kCases) {
    const Model model(name);
    for (const auto& setting : settings) check_case(model, setting);
  }
}

}  // namespace
}  // namespace attnlab
