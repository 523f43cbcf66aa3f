#include "experiment/arms/arm_model.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "experiment/arms/arm_form.h"
#include "model/cache_calibration.h"
#include "model/decoder_weights.h"
#include "train/trainable.h"

namespace attnlab {

ArmModel make_arm_model(const RunConfig& config, const Base& base, torch::Device device,
                        const ArmWeights* start) {
  const ModelForm form = start ? start->form : arm_form(config.arm, base.config);
  if (const int64_t longest = base.config.longest_sequence(); config.train.sequence_length > longest)
    throw InputError(BadInput{.key = "train.sequence_length",
                              .found = fmt::format("{}", config.train.sequence_length),
                              .expected = fmt::format("at most the base's {} positions", longest)});
  if (auto problem = cache_problem(form, read_cache_plan(config.eval.cache))) {
    problem->key = "eval.cache." + problem->key;
    throw InputError(*problem);
  }
  check_pruning_of(config, form);
  ArmModel model{.decoder = std::make_shared<Decoder>(form)};
  const auto trained = trainable_names(*model.decoder, config.train.trainable, "train.trainable");
  set_trainable(*model.decoder, trained);
  for (const auto& parameter : model.decoder->parameters()) {
    model.parameters_total += parameter.numel();
    if (parameter.requires_grad()) model.parameters_trainable += parameter.numel();
  }
  load_weights(*model.decoder, start ? start->weights : convert_weights(base.weights, form));
  model.decoder->to(device);
  return model;
}

ArmModel convert_arm_model(const RunConfig& config, const Base& base, const Data& data, torch::Device device,
                           const std::filesystem::path& results,
                           const std::function<void(const std::string&)>& note) {
  const auto start = convert_arm(config, base, data, device, results / "conversions", note);
  return make_arm_model(config, base, device, start ? &*start : nullptr);
}

Equivalence compare_with_base(const Base& base, const Data& data, Decoder& arm) {
  constexpr int64_t longest = 128, rows = 4;
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < data.heldout->size() && static_cast<int64_t>(ids.size()) < rows * longest; ++i) {
    const Example example = data.heldout->get(i);
    const auto more = base.tokenizer->encode(example.prompt + example.answer);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  const int64_t T = std::min<int64_t>(longest, static_cast<int64_t>(ids.size()));
  const int64_t B = std::min<int64_t>(rows, static_cast<int64_t>(ids.size()) / std::max<int64_t>(T, 1));
  if (T == 0 || B == 0) return {};
  ids.resize(static_cast<size_t>(B * T));
  Decoder before(native_form(base.config));
  load_weights(before, base.weights);
  before.to(arm.device());
  return compare_logits(before, arm, torch::tensor(ids).view({B, T}).to(arm.device()));
}

void save_arm_model(const std::filesystem::path& folder, const Decoder& decoder, const Base& base) {
  const ModelForm& form = decoder.form();
  auto config = write_model_form(form);
  if (base.bos_id) config["bos_token_id"] = *base.bos_id;
  config["eos_token_id"] = base.eos_id;
  write_checkpoint(folder, config, to_file_tensors(form, copy_weights(decoder)));
  for (const auto& file : Tokenizer::files_of(base.tokenizer_file))
    write_file_atomic(folder / file.filename(), read_file(file));
}

}  // namespace attnlab
