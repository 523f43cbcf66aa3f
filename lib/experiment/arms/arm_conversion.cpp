#include "experiment/arms/arm_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "config/document.h"
#include "convert/conversion_json.h"
#include "convert/memory_conversion.h"
#include "core/files.h"
#include "core/interrupt.h"
#include "experiment/plan/sweep.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRowLength = 256, kHeldoutTokens = 4096;

// All that the result depends on.
std::string hash_of(const RunConfig& config, const Base& base, const Data& data,
                    const std::vector<ConversionStep>& steps) {
  nlohmann::json key{{"format", 1},
                     {"weights", base.weights_sha256},
                     {"tokenizer", base.tokenizer_sha256},
                     {"data", data.sha256},
                     {"data_config", to_yaml(flatten(config.data))},
                     {"variant", config.arm.variant},
                     {"options", options_to_json(config.arm.options)}};
  const bool options_say_all = config.arm.layers.empty() && !config.arm.cache && !config.arm.cached_numbers;
  if (!options_say_all) key["steps"] = steps_to_json(steps);
  return sha256(key.dump()).substr(0, 16);
}

// The layers whose mixer is converted, by variant and options.
std::vector<ConversionStep> steps_to(const ModelForm& form) {
  std::vector<ConversionStep> steps;
  for (const auto& group : layer_groups(form))
    if (group.variant.index() != native_variant(form.config).index())
      steps.push_back({group.variant, group.layers});
  return steps;
}

ModelForm form_after(const DecoderConfig& base, const std::vector<ConversionStep>& steps) {
  ModelForm form = native_form(base);
  for (const auto& step : steps) form = with_layers(std::move(form), step.layers, step.variant());
  return form;
}

std::optional<ArmWeights> read_kept(const fs::path& file, const DecoderConfig& base) {
  if (!fs::exists(file)) return std::nullopt;
  const auto kept = SafetensorsFile::open(file);
  const auto steps = steps_from_json(nlohmann::json::parse(kept.metadata().at("steps")));
  ArmWeights out{.form = form_after(base, steps)};
  for (const auto& name : kept.names()) out.weights[name] = kept.tensor(name);
  return out;
}

ConversionData conversion_data(const RunConfig& config, const Base& base, const Data& data,
                               const Transform& transform) {
  const int64_t length = std::min(kRowLength, base.config.max_positions);
  const auto rows = example_rows(*data.train, *base.tokenizer, config.data.calibration_tokens, length);
  if (rows.numel() < transform.numbers_to_estimate())
    throw InputError(BadInput{.key = "data.calibration_tokens",
                              .found = fmt::format("{} tokens for calibration", rows.numel()),
                              .expected = fmt::format("at least {}: arm {} estimates as many directions",
                                                      transform.numbers_to_estimate(), config.arm.name)});
  return {make_batches(rows),
          make_batches(example_rows(*data.heldout, *base.tokenizer, kHeldoutTokens, length))};
}

}  // namespace

torch::Tensor example_rows(const Dataset& examples, const Tokenizer& tokenizer, int64_t tokens,
                           int64_t length) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < examples.size() && static_cast<int64_t>(ids.size()) < tokens; ++i) {
    const Example example = examples.get(i);
    const auto more = tokenizer.encode(example.prompt + example.answer);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  const auto count = std::min(tokens, static_cast<int64_t>(ids.size()));
  if (count < length) return torch::tensor(ids).narrow(0, 0, count).unsqueeze(0);
  return torch::tensor(ids).narrow(0, 0, count / length * length).view({-1, length});
}

std::optional<ArmWeights> convert_arm(const RunConfig& config, const Base& base, const Data& data,
                                      torch::Device device, const fs::path& cache,
                                      const std::function<void(const std::string&)>& note) {
  if (base.config.mla) return std::nullopt;
  const auto steps = steps_to(arm_form(config.arm, base.config));
  if (steps.empty()) return std::nullopt;
  const auto transform = make_transform(native_form(base.config), steps, {.exported = false});
  if (!transform->is_calibrated() && !transform->has_open_settings()) return std::nullopt;
  const std::string name = variant_text(config.arm);
  const fs::path file =
      cache / (as_file_name(name) + "-" + hash_of(config, base, data, steps) + ".safetensors");
  if (auto kept = read_kept(file, base.config)) return kept;
  FileLock lock(file.parent_path() / ("." + file.stem().string() + ".lock"));
  // Another process may be making the same conversion: then this one waits for it, and reads what that one
  // kept.
  while (!lock.try_lock()) interruptible_sleep(std::chrono::milliseconds(50));
  if (auto kept = read_kept(file, base.config)) return kept;
  const auto rows = conversion_data(config, base, data, *transform);
  note(fmt::format("{}: converting to {}, calibrated on {} tokens", config.arm.name, name,
                   rows.calibration.tokens()));
  const auto done = convert_in_memory(base.config, base.weights, *transform, rows, device,
                                      [](const std::string&, int64_t, int64_t) {
                                        if (interrupted()) throw Interrupted{};
                                      });
  write_safetensors(file, done.weights,
                    {{"steps", steps_to_json(done.settled).dump()}, {"report", to_json(done.report).dump()}});
  return ArmWeights{.form = form_after(base.config, done.settled), .weights = done.weights};
}

}  // namespace attnlab
