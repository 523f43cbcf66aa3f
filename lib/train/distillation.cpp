#include "train/distillation.h"

#include <fmt/format.h>

#include "model/linear_distillation.h"
#include "train/layer_losses.h"

namespace attnlab {
namespace {

std::optional<LayerTaps> taps_of(LayerMatch match) {
  if (match == LayerMatch::none) return std::nullopt;
  return LayerTaps{.of = match == LayerMatch::attention_output ? LayerTaps::Of::mixers : LayerTaps::Of::layers};
}

OutputSide side_of(Decoder& decoder, const LossInput& input, std::optional<LayerTaps>& taps) {
  const auto states_PD = target_states(decoder, input, taps ? &*taps : nullptr);
  return {states_PD, decoder.output_weight(), decoder.config().final_softcap};
}

torch::Tensor layer_distances(const LayerTaps& student, const LayerTaps& teacher,
                              const torch::Tensor& positions_P) {
  const auto at_targets = [&](const torch::Tensor& x_BTD) {
    return x_BTD.flatten(0, 1).index_select(0, positions_P);
  };
  torch::Tensor sum;
  for (size_t i = 0; i < student.outputs_BTD.size(); ++i) {
    const auto distance =
        summed_distance(at_targets(student.outputs_BTD[i]), at_targets(teacher.outputs_BTD[i]));
    sum = sum.defined() ? sum + distance : distance;
  }
  return sum;
}

}  // namespace

Distillation::Distillation(std::shared_ptr<Decoder> teacher, const DistillConfig& config)
    : teacher_(std::move(teacher)), config_(config) {
  for (auto& parameter : teacher_->parameters()) parameter.requires_grad_(false);
  teacher_->eval();
}

TaughtLoss Distillation::loss(Decoder& student, const LossInput& input) const {
  auto theirs = taps_of(config_.layers), ours = theirs;
  OutputSide teacher;
  {
    const torch::NoGradGuard no_grad;
    teacher = side_of(*teacher_, input, theirs);
  }
  const auto sums = linear_distillation(side_of(student, input, ours), teacher, input.targets_P, config_.form(),
                                        config_.weight);
  TaughtLoss out{.objective = sums.objective,
                 .cross_entropy = sums.cross_entropy,
                 .divergence = sums.divergence,
                 .layers = torch::zeros_like(sums.divergence)};
  if (!ours) return out;
  const auto distances = layer_distances(*ours, *theirs, input.positions_P);
  out.objective = out.objective + config_.layer_weight * distances;
  out.layers = distances.detach();
  return out;
}

std::optional<BadInput> teacher_problem(const DecoderConfig& teacher, const DecoderConfig& student,
                                        const DistillConfig& config, int64_t sequence_length) {
  if (teacher.vocab_size != student.vocab_size)
    return BadInput{.key = "teacher",
                    .found = fmt::format("a teacher of {} tokens", teacher.vocab_size),
                    .expected = fmt::format("the student's {} tokens", student.vocab_size)};
  if (teacher.longest_sequence() < sequence_length)
    return BadInput{.key = "teacher",
                    .found = fmt::format("a teacher of {} positions", teacher.longest_sequence()),
                    .expected = fmt::format("train.sequence_length, {}, or more", sequence_length)};
  const bool alike = teacher.n_layers == student.n_layers && teacher.d_model == student.d_model;
  if (config.layers == LayerMatch::none || alike) return std::nullopt;
  return BadInput{.key = "layers",
                  .found = fmt::format("{} with a teacher of {} layers of {} numbers", name_of(config.layers),
                                       teacher.n_layers, teacher.d_model),
                  .expected = fmt::format("none, or a teacher of the student's {} layers of {} numbers",
                                          student.n_layers, student.d_model)};
}

}  // namespace attnlab
