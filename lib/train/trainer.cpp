#include "train/trainer.h"

#include <fmt/ranges.h>

#include "core/errors.h"
#include "core/numbers.h"
#include "model/loss.h"
#include "train/generators.h"
#include "train/schedule.h"

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

double number_in(const SafetensorsFile& state, const char* key) {
  const auto found = state.metadata().find(key);
  const std::string text = found == state.metadata().end() ? "" : found->second;
  const auto value = parse_any_number<double>(text);
  if (!value)
    throw InputError(
        BadInput{.file = state.path().string(), .key = key, .found = "'" + text + "'", .expected = "a number"});
  return *value;
}

TrainProgress read_progress(const SafetensorsFile& state) {
  TrainProgress progress{.step = static_cast<int64_t>(number_in(state, "step")),
                         .tokens = static_cast<int64_t>(number_in(state, "tokens")),
                         .seconds = number_in(state, "seconds")};
  if (state.metadata().count("best_heldout_loss")) {
    progress.best_heldout_loss = number_in(state, "best_heldout_loss");
    progress.best_heldout_step = static_cast<int64_t>(number_in(state, "best_heldout_step"));
  }
  return progress;
}

}  // namespace

Trainer::Trainer(Decoder& decoder, const TrainConfig& config, std::shared_ptr<Decoder> teacher)
    : decoder_(decoder), config_(config), optimizer_(trained_parameters(decoder), config) {
  ATTNLAB_CHECK(config.distill.has_value() == (teacher != nullptr));
  decoder.recompute_layers(config.activation_checkpointing);
  // A mixture of experts asks the device for its shares.
  const bool recordable = !decoder.config().moe && !(teacher && teacher->config().moe);
  if (teacher) distillation_.emplace(std::move(teacher), *config.distill);
  if (config.cuda_graph && recordable && !config.prune && StepGraph::available(decoder.device()))
    graph_.emplace(decoder.device());
}

StepResult Trainer::step(int64_t step, const std::vector<Batch>& micro_batches, std::optional<double> rate) {
  StepResult result;
  step_ = step;
  result.learning_rate = rate.value_or(learning_rate(config_, step));
  int64_t targets = 0;
  for (const auto& batch : micro_batches) {
    targets += batch.loss_tokens;
    result.tokens += batch.tokens;
  }
  const auto upload = [&] {
    optimizer_.set_step(step, result.learning_rate);
    std::vector<LossInput> inputs;
    for (const auto& batch : micro_batches)
      if (batch.loss_tokens > 0)
        inputs.push_back(make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns,
                                         decoder_.device(), batch.positions));
    return inputs;
  };
  const auto run = [&](const std::vector<LossInput>& inputs) { return compute(inputs, targets); };
  static_cast<StepTensors&>(result) =
      graph_ ? graph_->run(targets, upload, run, [&] { return kept_tables(); }) : run(upload());
  return result;
}

// Reads nothing from the device, so that it can be recorded; with masks it is not.
StepTensors Trainer::compute(const std::vector<LossInput>& inputs, int64_t targets) {
  const torch::Device device = decoder_.device();
  const auto zero = [&] { return torch::zeros({}, torch::dtype(torch::kFloat32).device(device)); };
  StepTensors result{.loss = zero()};
  if (distillation_) {
    result.divergence = zero();
    result.layer_distance = zero();
    result.objective = zero();
  }
  if (pruner_) pruner_->draw(step_);
  for (const auto& input : inputs) {
    if (pruner_) pruner_->mask();
    add_losses(input, targets, result);
  }
  result.gradient_norm = optimizer_.clip_gradients();
  const auto trained_on = distillation_ ? result.objective : result.loss;
  result.nonfinite = torch::isfinite(trained_on + result.gradient_norm).logical_not().to(torch::kFloat32);
  optimizer_.update(result.nonfinite);
  if (pruner_) pruner_->update(step_, result.nonfinite.item<float>() == 0);
  return result;
}

void Trainer::add_losses(const LossInput& input, int64_t targets, StepTensors& step) {
  const auto count = static_cast<double>(targets);
  torch::Tensor trained_on;
  {
    const PrecisionScope scope(config_.precision, decoder_.device());
    if (distillation_) {
      const auto loss = distillation_->loss(decoder_, input);
      trained_on = loss.objective / count;
      step.loss += loss.cross_entropy / count;
      step.divergence += loss.divergence / count;
      step.layer_distance += loss.layers / count;
      step.objective += trained_on.detach();
    } else {
      trained_on = summed_loss(decoder_, input) / count;
      step.loss += trained_on.detach();
    }
  }
  trained_on.backward();
}

std::vector<torch::Tensor> Trainer::kept_tables() const {
  auto tables = decoder_.kept_tables();
  if (!distillation_) return tables;
  const auto teachers = distillation_->teacher().kept_tables();
  tables.insert(tables.end(), teachers.begin(), teachers.end());
  return tables;
}

void Trainer::save(const std::filesystem::path& path, const TrainProgress& progress) const {
  TensorList tensors = generator_states(decoder_.device());
  for_each_tensor(optimizer_.slots(), [&](const std::string& name, const torch::Tensor& tensor) {
    tensors[name] = tensor.detach().to(torch::kCPU);
  });
  if (pruner_)
    for (const auto& [name, tensor] : pruner_->tensors()) tensors[name] = tensor.detach().to(torch::kCPU);
  std::map<std::string, std::string> texts{{"step", fmt::format("{}", progress.step)},
                                           {"tokens", fmt::format("{}", progress.tokens)},
                                           {"seconds", fmt::format("{}", progress.seconds)},
                                           {"data_rows", fmt::format("{}", progress.step * rows_per_step())}};
  if (progress.best_heldout_loss) {
    texts["best_heldout_loss"] = fmt::format("{}", *progress.best_heldout_loss);
    texts["best_heldout_step"] = fmt::format("{}", progress.best_heldout_step);
  }
  write_state(path, tensors, texts, config_.keep_checkpoints);
}

TrainProgress Trainer::load(const SafetensorsFile& state) {
  const std::string path = state.path().string();
  for_each_tensor(optimizer_.slots(), [&](const std::string& name, const torch::Tensor& tensor) {
    const auto saved = state.shape(name);
    if (tensor.sizes() != torch::IntArrayRef(saved))
      throw InputError(BadInput{.file = path,
                                .key = name,
                                .found = fmt::format("shape [{}]", fmt::join(saved, ", ")),
                                .expected = fmt::format("[{}]", fmt::join(tensor.sizes().vec(), ", "))});
  });
  const TrainProgress progress = read_progress(state);
  if (const auto rows = static_cast<int64_t>(number_in(state, "data_rows"));
      rows != progress.step * rows_per_step())
    throw InputError(
        BadInput{.file = path,
                 .key = "data_rows",
                 .found = fmt::format("{} rows of the data", rows),
                 .expected = fmt::format("{}: {} a step", progress.step * rows_per_step(), rows_per_step())});
  const torch::NoGradGuard no_grad;
  for_each_tensor(optimizer_.slots(),
                  [&](const std::string& name, const torch::Tensor& tensor) { state.copy_to(name, tensor); });
  if (pruner_)
    for (const auto& [name, tensor] : pruner_->tensors()) state.copy_to(name, tensor);
  restore_generators(state, decoder_.device());
  return progress;
}

}  // namespace attnlab
