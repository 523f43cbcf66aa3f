#include "measure/teacher_fit.h"

#include <cmath>

#include "attention/gqa.h"
#include "attention/gqa_weights.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/rotary.h"
#include "attention/variant_config.h"
#include "core/random.h"
#include "train/adamw.h"
#include "train/schedule.h"

namespace attnlab {
namespace {

AttentionShape shape_of(const FitSetting& setting, FitForm form) {
  return {.d_model = setting.d_model,
          .n_heads = setting.n_heads,
          .n_kv_heads = form == FitForm::gqa_wide ? setting.n_heads : setting.n_kv_heads,
          .head_dim = setting.head_dim};
}

torch::Generator generator(uint64_t seed, const std::string& stream, uint64_t position = 0) {
  return at::detail::createCPUGenerator(Random(seed, mix64(hash_name(stream) + position)).next());
}

std::shared_ptr<Mixer> layer_with(const AttentionShape& shape, const VariantConfig& config,
                                  const TensorMap& weights, torch::Device device) {
  const torch::NoGradGuard no_grad;
  auto layer = make_mixer(shape, config);
  for (auto& item : layer->named_parameters()) item.value().copy_(weights.at(item.key()));
  layer->to(device);
  return layer;
}

// What makes the queries, or the keys of all heads.
bool makes_scores(const std::string& name, FitForm form) {
  return name == "q_proj.weight" || name == (form == FitForm::mla ? "k_up_proj.weight" : "k_proj.weight");
}

VariantConfig config_of(FitForm form) {
  if (form == FitForm::mla) return MlaIdentity::Config{};
  return Gqa::Config{};
}

// Drawn on the CPU, so that all devices see the same.
MixerInput random_inputs(const FitSetting& setting, int64_t rows, torch::Generator from) {
  const auto tables =
      rotary_tables(torch::arange(setting.length).unsqueeze(0), setting.head_dim, 10000, torch::kFloat32);
  SequenceParts parts{.T = setting.length, .device = setting.device};
  parts.rotary.push_back({tables.cos_BTH.to(setting.device), tables.sin_BTH.to(setting.device)});
  return {.x_BTD = torch::randn({rows, setting.length, setting.d_model}, from).to(setting.device),
          .sequence = std::make_shared<const Sequence>(std::move(parts))};
}

TrainConfig optimizer(int64_t steps, double rate) {
  return {.steps = steps, .lr = rate, .warmup_steps = steps / 20, .final_lr_share = 0, .weight_decay = 0};
}

}  // namespace

std::shared_ptr<Mixer> random_layer(const FitSetting& setting, FitForm form, uint64_t seed,
                                    const std::string& role) {
  const auto shape = shape_of(setting, form);
  TensorMap weights;
  for (const auto& item : make_mixer(shape, config_of(form))->named_parameters()) {
    const double gain = makes_scores(item.key(), form) ? std::sqrt(2.0) : 1.0;
    const auto sizes = item.value().sizes();
    weights[item.key()] = torch::randn(sizes, generator(seed, role + item.key())) *
                          (gain / std::sqrt(static_cast<double>(sizes[1])));
  }
  return layer_with(shape, config_of(form), weights, setting.device);
}

std::shared_ptr<Mixer> converted_layer(const FitSetting& setting, Mixer& gqa) {
  TensorMap tensors;
  for (const auto& item : gqa.named_parameters()) tensors[item.key()] = item.value().detach();
  const GqaWeights weights = gqa_weights(tensors);
  const MlaOrthogonal::Config config;
  return layer_with(gqa.shape(), config, convert_from_gqa(gqa.shape(), config, weights), setting.device);
}

int64_t parameters_of(const Mixer& layer) {
  int64_t total = 0;
  for (const auto& parameter : layer.parameters()) total += parameter.numel();
  return total;
}

double relative_error(const FitSetting& setting, Mixer& teacher, Mixer& student, uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const auto inputs = random_inputs(setting, 64, generator(seed, "measured inputs"));
  const auto expected = teacher.forward(inputs).to(torch::kFloat64);
  const auto difference = student.forward(inputs).to(torch::kFloat64) - expected;
  return (difference.square().mean() / expected.square().mean()).item<double>();
}

std::vector<int64_t> measured_steps(int64_t steps, int64_t count) {
  std::vector<int64_t> at{0};
  for (int64_t i = 0; i < count; ++i) {
    const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 1;
    const auto step = static_cast<int64_t>(std::llround(std::pow(static_cast<double>(steps), share)));
    if (step > at.back()) at.push_back(step);
  }
  if (at.back() < steps) at.push_back(steps);
  return at;
}

std::vector<FitPoint> fit(const FitSetting& setting, Mixer& teacher, Mixer& student, double rate, uint64_t seed,
                          const std::function<void()>& tick) {
  std::vector<std::pair<std::string, torch::Tensor>> parameters;
  for (auto& item : student.named_parameters()) parameters.emplace_back(item.key(), item.value());
  const TrainConfig config = optimizer(setting.steps, rate);
  AdamW adamw(parameters, config);
  std::vector<FitPoint> points;
  for (const int64_t until : measured_steps(setting.steps)) {
    for (int64_t step = points.empty() ? 1 : points.back().step + 1; step <= until; ++step) {
      const auto inputs =
          random_inputs(setting, setting.batch, generator(seed, "inputs", static_cast<uint64_t>(step)));
      torch::Tensor expected;
      {
        const torch::NoGradGuard no_grad;
        expected = teacher.forward(inputs);
      }
      torch::mse_loss(student.forward(inputs), expected).backward();
      adamw.clip_gradients();
      adamw.set_step(step, learning_rate(config, step));
      adamw.update();
      tick();
    }
    points.push_back({until, relative_error(setting, teacher, student, seed)});
  }
  return points;
}

}  // namespace attnlab
