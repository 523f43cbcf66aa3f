#include "experiment/arms/arm_form.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/cache_fit.h"
#include "train/prune_shape.h"

namespace attnlab {
namespace {

// One arm's way through its list.
class FormBuilder {
 public:
  FormBuilder(const ArmConfig& arm, const DecoderConfig& base)
      : arm_(arm), base_(base), layers_(static_cast<size_t>(base.n_layers)) {}

  ModelForm build() {
    for (size_t i = 0; i < arm_.layers.size(); ++i) add(i);
    ModelForm form;
    form.config = base_;
    for (int64_t layer = 0; layer < base_.n_layers; ++layer) form.layers.push_back(variant_of(layer));
    return form;
  }

 private:
  std::string key(size_t range, const char* name) const {
    return fmt::format("arms.{}.layers.{}.{}", arm_.name, range, name);
  }

  void add(size_t range) {
    const LayerRange& given = arm_.layers[range];
    const auto numbers = parse_layers(given.of);
    ATTNLAB_CHECK(numbers.has_value());  // read_run_config has seen to it
    for (const int64_t layer : *numbers) {
      if (layer >= base_.n_layers)
        throw InputError(BadInput{.key = key(range, "of"),
                                  .found = fmt::format("layer {}", layer),
                                  .expected = fmt::format("0 to {}, the base's layers", base_.n_layers - 1)});
      auto& place = layers_[static_cast<size_t>(layer)];
      if (place)
        throw InputError(BadInput{.key = key(range, "of"),
                                  .found = fmt::format("layer {} again", layer),
                                  .expected = "each layer once"});
      place = range;
    }
  }

  VariantConfig variant_of(int64_t layer) const {
    const auto& range = layers_[static_cast<size_t>(layer)];
    if (range) {
      const LayerRange& given = arm_.layers[*range];
      return fitted(layer, given.options, share_of(layer, given.cache),
                    fmt::format("arms.{}.layers.{}.", arm_.name, *range));
    }
    if (arm_.variant.empty())
      throw InputError(
          BadInput{.key = fmt::format("arms.{}.layers", arm_.name),
                   .found = fmt::format("nothing for layer {}", layer),
                   .expected = "each layer, or a variant beside `layers` for all that they don't name"});
    const auto numbers = arm_.cached_numbers ? std::optional(*arm_.cached_numbers / base_.n_layers)
                                             : share_of(layer, arm_.cache);
    return fitted(layer, arm_.options, numbers, fmt::format("arms.{}.", arm_.name));
  }

  // Numbers of a token that a layer may keep, if the arm says so.
  std::optional<int64_t> share_of(int64_t layer, const std::optional<double>& cache) const {
    if (!cache) return std::nullopt;
    return numbers_at(*cache, variant_cache(base_.attention_shape(layer), native_variant(base_)));
  }

  VariantConfig fitted(int64_t layer, VariantConfig variant, const std::optional<int64_t>& numbers,
                       const std::string& place) const {
    const AttentionShape shape = base_.attention_shape(layer);
    if (numbers)
      if (auto problem = fit_to_cache(variant, shape, *numbers)) refuse(std::move(*problem), place);
    if (auto problem = variant_problem(shape, variant)) refuse(std::move(*problem), place);
    return variant;
  }

  [[noreturn]] void refuse(BadInput problem, const std::string& place) const {
    if (problem.key == "cache" && arm_.cached_numbers) problem.key = "cached_numbers";
    const bool of_arm = problem.key == "variant" || problem.key == "cache" || problem.key == "cached_numbers";
    problem.key = place + (of_arm ? "" : "options.") + problem.key;
    throw InputError(problem);
  }

  const ArmConfig& arm_;
  const DecoderConfig& base_;
  std::vector<std::optional<size_t>> layers_;  // which range each layer is in
};

}  // namespace

ModelForm arm_form(const ArmConfig& arm, const DecoderConfig& base) { return FormBuilder(arm, base).build(); }

std::string variant_text(const ArmConfig& arm) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const auto& range : arm.layers) add(range.variant);
  add(arm.variant);
  return join(names, " + ");
}

void check_pruning_of(const RunConfig& config, const ModelForm& form) {
  const TrainConfig& train = config.train;
  if (!train.prune) return;
  const auto refuse = [](BadInput problem) {
    problem.key = "train." + problem.key;
    throw InputError(problem);
  };
  if (train.distill)
    refuse({.key = "prune", .found = "masks beside a teacher", .expected = "train.prune or train.distill"});
  if (train.prune->steps >= train.steps)
    refuse({.key = "prune.steps",
            .found = fmt::format("{}", train.prune->steps),
            .expected = fmt::format("fewer than train.steps = {}: the cut model trains on", train.steps)});
  if (train.trainable != std::vector<std::string>{"all"})
    refuse({.key = "trainable", .found = join(train.trainable), .expected = "all, beside train.prune"});
  if (train.activation_checkpointing)
    refuse({.key = "activation_checkpointing", .found = "true", .expected = "false, beside train.prune"});
  if (auto problem = prune_problem(form, *train.prune)) {
    problem->key = "prune." + problem->key;
    refuse(*problem);
  }
}

}  // namespace attnlab
