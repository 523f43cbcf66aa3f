#include "train/trainer.h"

#include <fmt/ranges.h>

#include <charconv>

#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "model/loss.h"

namespace attnlab {
namespace {

std::vector<std::pair<std::string, torch::Tensor>> trained_parameters(const Decoder& decoder) {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto& parameter : decoder.named_parameters())
    if (parameter.value().requires_grad()) out.emplace_back(parameter.key(), parameter.value());
  return out;
}

// The three tensors of each parameter, by their names in the file.
template <class Action>
void for_each_tensor(const std::vector<AdamW::Slot>& slots, const Action& action) {
  for (const auto& slot : slots) {
    action("parameter/" + slot.name, slot.parameter);
    action("first_moment/" + slot.name, slot.first_moment);
    action("second_moment/" + slot.name, slot.second_moment);
  }
}

}  // namespace

Trainer::Trainer(Decoder& decoder, const TrainConfig& config)
    : decoder_(decoder), config_(config), optimizer_(trained_parameters(decoder), config) {}

StepResult Trainer::step(int64_t step, const std::vector<Batch>& micro_batches) {
  StepResult result{.learning_rate = learning_rate(config_, step)};
  int64_t targets = 0;
  for (const auto& batch : micro_batches) {
    targets += batch.loss_tokens;
    result.tokens += batch.tokens;
  }
  const torch::Device device = decoder_.device();
  result.loss = torch::zeros({}, torch::dtype(torch::kFloat32).device(device));
  for (const auto& batch : micro_batches) {
    if (batch.loss_tokens == 0) continue;
    const auto input = make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, device);
    torch::Tensor loss;
    {
      const PrecisionScope scope(config_.precision, device);
      loss = summed_loss(decoder_, input) / static_cast<double>(targets);
    }
    loss.backward();
    result.loss += loss.detach();
  }
  result.gradient_norm = optimizer_.clip_gradients();
  optimizer_.update(step, result.learning_rate);
  return result;
}

void Trainer::save(const std::filesystem::path& path, const TrainProgress& progress) const {
  TensorList tensors;
  for_each_tensor(optimizer_.slots(), [&](const std::string& name, const torch::Tensor& tensor) {
    tensors[name] = tensor.detach().to(torch::kCPU);
  });
  write_safetensors(path, tensors,
                    {{"step", fmt::format("{}", progress.step)},
                     {"tokens", fmt::format("{}", progress.tokens)},
                     {"seconds", fmt::format("{}", progress.seconds)}});
}

TrainProgress Trainer::load(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  const torch::NoGradGuard no_grad;
  for_each_tensor(optimizer_.slots(), [&](const std::string& name, torch::Tensor tensor) {
    const auto saved = file.tensor(name);
    if (saved.sizes() != tensor.sizes())
      throw InputError(BadInput{.file = path.string(),
                                .key = name,
                                .found = fmt::format("shape [{}]", fmt::join(saved.sizes().vec(), ", ")),
                                .expected = fmt::format("[{}]", fmt::join(tensor.sizes().vec(), ", "))});
    tensor.copy_(saved);
  });
  const auto number = [&](const char* key) {
    const auto found = file.metadata().find(key);
    const std::string text = found == file.metadata().end() ? "" : found->second;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      throw InputError(
          BadInput{.file = path.string(), .key = key, .found = "'" + text + "'", .expected = "a number"});
    return value;
  };
  return {.step = static_cast<int64_t>(number("step")),
          .tokens = static_cast<int64_t>(number("tokens")),
          .seconds = number("seconds")};
}

}  // namespace attnlab
