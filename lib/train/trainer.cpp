#include "train/trainer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "attention/side_by_side.h"
#include "core/errors.h"
#include "core/interrupt.h"
#include "core/numbers.h"
#include "model/loss.h"
#include "train/generators.h"
#include "train/rank_share.h"
#include "train/schedule.h"

namespace attnlab {
namespace {

NamedTensors trained_parameters(const Decoder& decoder) {
  NamedTensors out;
  for (const auto& parameter : decoder.named_parameters())
    if (parameter.value().requires_grad()) out.emplace_back(parameter.key(), parameter.value());
  return out;
}

using Texts = std::map<std::string, std::string>;

double number_in(const Texts& texts, const char* key, const std::string& file) {
  const auto found = texts.find(key);
  const std::string text = found == texts.end() ? "" : found->second;
  const auto value = parse_any_number<double>(text);
  if (!value)
    throw InputError(BadInput{.file = file, .key = key, .found = "'" + text + "'", .expected = "a number"});
  return *value;
}

// As a state keeps it, and as rank 0 tells the others of it.
Texts texts_of(const TrainProgress& progress) {
  Texts texts{{"step", fmt::format("{}", progress.step)},
              {"tokens", fmt::format("{}", progress.tokens)},
              {"seconds", fmt::format("{}", progress.seconds)}};
  if (progress.best_heldout_loss) {
    texts["best_heldout_loss"] = fmt::format("{}", *progress.best_heldout_loss);
    texts["best_heldout_step"] = fmt::format("{}", progress.best_heldout_step);
  }
  if (!progress.shares.empty()) texts["shares"] = progress.shares;
  return texts;
}

TrainProgress read_progress(const Texts& texts, const std::string& file) {
  TrainProgress progress{.step = static_cast<int64_t>(number_in(texts, "step", file)),
                         .tokens = static_cast<int64_t>(number_in(texts, "tokens", file)),
                         .seconds = number_in(texts, "seconds", file)};
  if (texts.count("best_heldout_loss")) {
    progress.best_heldout_loss = number_in(texts, "best_heldout_loss", file);
    progress.best_heldout_step = static_cast<int64_t>(number_in(texts, "best_heldout_step", file));
  }
  if (const auto shares = texts.find("shares"); shares != texts.end()) progress.shares = shares->second;
  return progress;
}

// A line for each text; none has several.
std::string lines_of(const Texts& texts) {
  std::string lines;
  for (const auto& [key, text] : texts) lines += key + " " + text + "\n";
  return lines;
}

Texts texts_in(const std::string& lines) {
  std::istringstream in(lines);
  Texts texts;
  for (std::string key, text; in >> key && std::getline(in >> std::ws, text);) texts[key] = text;
  return texts;
}

// As rank 0 has them.
void share_parameters(const Decoder& decoder, World& world) {
  if (world.is_alone()) return;
  for (const auto& parameter : decoder.parameters()) world.share(parameter);
}

std::unique_ptr<ShardedParameters> make_parts(Decoder& decoder, const NamedTensors& trained,
                                              const TrainConfig& config, World& world) {
  share_parameters(decoder, world);
  if (world.is_alone() || config.shard != Sharded::parameters) return nullptr;
  return std::make_unique<ShardedParameters>(decoder, trained, config.precision, world);
}

std::unique_ptr<ShardedState> make_sharded(const NamedTensors& trained, const TrainConfig& config,
                                           const ShardedParameters* parts, World& world) {
  if (parts) return std::make_unique<ShardedState>(trained, world, parts->layouts(), parts->own());
  if (world.is_alone() || config.shard == Sharded::none) return nullptr;
  return std::make_unique<ShardedState>(trained, world);
}

// Whether a step's passes read nothing from the device.
bool passes_record(const Decoder& decoder, Precision precision) {
  const PrecisionScope scope(precision, decoder.device());
  return !decoder.recording_problem();
}

bool has_targets(const std::vector<Batch>& batches) {
  return std::any_of(batches.begin(), batches.end(), [](const auto& batch) { return batch.loss_tokens > 0; });
}

// The names of a parameter's three tensors in a state.
constexpr std::array<const char*, 3> kKinds{"parameter/", "first_moment/", "second_moment/"};

}  // namespace

Trainer::Trainer(Decoder& decoder, const TrainConfig& config, std::shared_ptr<Decoder> teacher, World& world)
    : decoder_(decoder),
      config_(config),
      world_(world),
      trained_(trained_parameters(decoder)),
      parameters_(make_parts(decoder, trained_, config, world)),
      sharded_(make_sharded(trained_, config, parameters_.get(), world)),
      optimizer_(sharded_ ? AdamW::of_parts(sharded_->parts(), config) : AdamW(trained_, config)) {
  ATTNLAB_CHECK(config.distill.has_value() == (teacher != nullptr));
  // What is shared out has places of its own.
  if (!parameters_ && !sharded_) lay_side_by_side_on_gpu(decoder);
  decoder.recompute_layers(config.activation_checkpointing);
  const bool recordable =
      passes_record(decoder, config.precision) && (!teacher || passes_record(*teacher, config.precision));
  if (teacher) distillation_.emplace(std::move(teacher), *config.distill);
  if (config.cuda_graph && recordable && !config.prune && StepGraph::available(decoder.device()))
    graph_.emplace(decoder.device(), !world.is_alone());
  if (world.is_alone()) return;
  std::vector<torch::Tensor> trained;
  for (const auto& [name, parameter] : trained_) trained.push_back(parameter);
  if (parameters_) {
    sums_.emplace(trained, world, parameters_->layouts());
    parameters_->send_to(*sums_);
  } else {
    sums_.emplace(trained, world, sharded_ ? GradientSums::To::slices : GradientSums::To::parameters);
  }
  stop_ = torch::zeros({}, torch::dtype(torch::kFloat32).device(decoder.device()));
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
  // A record holds where all ranks have something to sum: all look at the same batches.
  bool recordable = graph_.has_value();
  for (int64_t r = 0; r < world_.size() && !world_.is_alone(); ++r)
    recordable = recordable && has_targets(share_of(micro_batches, r, world_.size()));
  const auto own = own_share(micro_batches, targets);
  const auto upload = [&] {
    optimizer_.set_step(step, result.learning_rate);
    if (stop_.defined()) stop_.fill_(interrupted() ? 1 : 0);
    std::vector<LossInput> inputs;
    for (const auto& batch : own)
      inputs.push_back(make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns,
                                       decoder_.device(), batch.positions));
    return inputs;
  };
  const auto run = [&](const std::vector<LossInput>& inputs) { return compute(inputs, targets, recordable); };
  static_cast<StepTensors&>(result) =
      recordable ? graph_->run(targets, upload, run, [&] { return kept_tables(); }) : run(upload());
  return result;
}

// Ranks that gather parameters make the same passes, whoever has targets.
std::vector<Batch> Trainer::own_share(const std::vector<Batch>& micro_batches, int64_t targets) const {
  auto own = world_.is_alone() ? micro_batches : share_of(micro_batches, world_.rank(), world_.size());
  const bool all = parameters_ && targets > 0;
  std::erase_if(own, [&](const auto& batch) { return batch.loss_tokens == 0 && !all; });
  return own;
}

// Reads nothing from the device, so that it can be recorded; with masks it is not.
StepTensors Trainer::compute(const std::vector<LossInput>& inputs, int64_t targets, bool recordable) {
  const torch::Device device = decoder_.device();
  const auto zero = [&] { return torch::zeros({}, torch::dtype(torch::kFloat32).device(device)); };
  StepTensors result{.loss = zero()};
  if (distillation_) {
    result.divergence = zero();
    result.layer_distance = zero();
    result.objective = zero();
  }
  if (pruner_) pruner_->draw(step_);
  if (parameters_) parameters_->begin_step();
  for (const auto& input : inputs) {
    if (pruner_) pruner_->mask();
    if (sums_ && &input == &inputs.back()) sums_->expect_last();
    add_losses(input, targets, result);
    if (parameters_) parameters_->end_pass();
  }
  if (parameters_) parameters_->end_step();
  if (sums_)
    spread(result, recordable);
  else
    result.gradient_norm = optimizer_.clip_gradients();
  const auto trained_on = distillation_ ? result.objective : result.loss;
  result.nonfinite = torch::isfinite(trained_on + result.gradient_norm).logical_not().to(torch::kFloat32);
  if (sharded_)
    sharded_->update(optimizer_, result.nonfinite);
  else
    optimizer_.update(result.nonfinite);
  if (sums_) sums_->forget();
  if (pruner_) pruner_->update(step_, result.nonfinite.item<float>() == 0);
  return result;
}

// One small sum for all that is measured. A record holds for steps in which the same parameters have gradients
// at all ranks, so that it need not ask.
void Trainer::spread(StepTensors& step, bool recordable) {
  const torch::NoGradGuard no_grad;
  sums_->finish();
  std::vector<torch::Tensor> measured{step.loss, sums_->own_squares(), stop_};
  if (distillation_)
    for (const auto& value : {step.divergence, step.layer_distance, step.objective}) measured.push_back(value);
  const bool ask = !recordable;
  auto numbers = torch::stack(measured);
  if (ask) numbers = torch::cat({numbers, sums_->used()});
  numbers = world_.sum_small(numbers);
  step.loss = numbers[0];
  step.gradient_norm = numbers[1].sqrt();
  step.stop = numbers[2];
  if (distillation_) {
    step.divergence = numbers[3];
    step.layer_distance = numbers[4];
    step.objective = numbers[5];
  }
  sums_->drop_unused(ask ? numbers.slice(0, static_cast<int64_t>(measured.size())) : torch::Tensor());
  if (sharded_) sharded_->give_gradients(*sums_, optimizer_.slots());
  optimizer_.clip_to(step.gradient_norm);
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

void Trainer::make_whole() {
  if (!parameters_) return;
  graph_.reset();
  sums_.reset();
  optimizer_ = AdamW({}, config_);
  sharded_.reset();
  parameters_->make_whole();
  parameters_.reset();
}

std::map<std::string, LateTensor> Trainer::state_tensors() const {
  std::map<std::string, LateTensor> tensors;
  const auto add = [&](const std::string& name, const torch::Tensor& tensor) {
    tensors[name] = {tensor, [tensor] { return tensor; }};
  };
  for (const auto& [name, tensor] : generator_states(decoder_.device())) add(name, tensor);
  for (size_t kind = 0; kind < kKinds.size(); ++kind)
    for (size_t i = 0; i < trained_.size(); ++i) {
      const auto kept = static_cast<Kept>(kind);
      const std::string name = kKinds[kind] + trained_[i].first;
      if (in_parts(kept))
        tensors[name] = {sharded_->like(i), [this, kept, i] { return sharded_->whole(kept, i); }};
      else
        add(name, whole_tensor(kept, i));
    }
  if (pruner_)
    for (const auto& [name, tensor] : pruner_->tensors()) add(name, tensor);
  return tensors;
}

void Trainer::save(const std::filesystem::path& path, const TrainProgress& progress) const {
  Texts texts = texts_of(progress);
  texts["data_rows"] = fmt::format("{}", progress.step * rows_per_step());
  stream_state(path, state_tensors(), texts, config_.keep_checkpoints, world_);
  if (sharded_) sharded_->forget_whole();
}

bool Trainer::in_parts(Kept kept) const {
  return kept == Kept::parameters ? parameters_ != nullptr : sharded_ != nullptr;
}

void Trainer::check_state(const SafetensorsFile& state) const {
  const std::string path = state.path().string();
  for (const auto& [name, parameter] : trained_)
    for (const char* kind : kKinds) {
      const auto saved = state.shape(kind + name);
      if (parameter.sizes() != torch::IntArrayRef(saved))
        throw InputError(BadInput{.file = path,
                                  .key = kind + name,
                                  .found = fmt::format("shape [{}]", fmt::join(saved, ", ")),
                                  .expected = fmt::format("[{}]", fmt::join(parameter.sizes().vec(), ", "))});
    }
  const TrainProgress progress = read_progress(state.metadata(), path);
  if (const auto rows = static_cast<int64_t>(number_in(state.metadata(), "data_rows", path));
      rows != progress.step * rows_per_step())
    throw InputError(
        BadInput{.file = path,
                 .key = "data_rows",
                 .found = fmt::format("{} rows of the data", rows),
                 .expected = fmt::format("{}: {} a step", progress.step * rows_per_step(), rows_per_step())});
}

torch::Tensor Trainer::whole_tensor(Kept kept, size_t parameter) const {
  if (kept == Kept::parameters) return trained_[parameter].second.detach();
  const auto& slot = optimizer_.slots()[parameter];
  return kept == Kept::first_moments ? slot.first_moment : slot.second_moment;
}

TrainProgress Trainer::load(const SafetensorsFile* state) {
  const std::string said = world_.first_says([&] {
    check_state(*state);
    return lines_of(texts_of(read_progress(state->metadata(), state->path().string())));
  });
  const TrainProgress progress = read_progress(texts_in(said), "");
  const torch::NoGradGuard no_grad;
  const auto take = [&](const std::string& name, const torch::Tensor& tensor) {
    if (state) state->copy_to(name, tensor);
    world_.share(tensor);
  };
  for (size_t i = 0; i < trained_.size(); ++i)
    for (size_t kind = 0; kind < kKinds.size(); ++kind) {
      const auto kept = static_cast<Kept>(kind);
      const auto whole = in_parts(kept) ? torch::empty(trained_[i].second.sizes(), sharded_->like(i).options())
                                        : whole_tensor(kept, i);
      take(kKinds[kind] + trained_[i].first, whole);
      if (in_parts(kept)) sharded_->set(kept, i, whole);
    }
  if (!state) return progress;
  if (pruner_)
    for (const auto& [name, tensor] : pruner_->tensors()) state->copy_to(name, tensor);
  restore_generators(*state, decoder_.device());
  return progress;
}

}  // namespace attnlab
