#include "convert_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "attention/cache_fit.h"
#include "attention/mla_deepseek.h"
#include "config/document.h"
#include "model/decoder_weights.h"
#include "torch_program.h"

namespace attnlab {

void check_options(const ConvertOptions& o) {
  require_given("--model", o.model, "a model folder");
  require_given("--to", o.to, "one of " + join(target_names()));
  require_given("--out", o.out, "the folder to write");
  require_range("--tokens", o.rows.tokens, 1);
  require_range("--row-length", o.rows.row_length, 2);
  require_range("--heldout-tokens", o.rows.heldout_tokens, 2);
}

namespace {

std::vector<int64_t> layers_of(const std::string& option, const std::string& text, int64_t n_layers) {
  const auto layers = parse_layers(text);
  if (!layers)
    throw InputError(BadInput{
        .file = option, .found = "'" + text + "'", .expected = "layers behind the @, as 0-3,6 or 0-23:4"});
  for (const int64_t layer : *layers)
    if (layer >= n_layers)
      throw InputError(BadInput{.file = option,
                                .found = fmt::format("layer {}", layer),
                                .expected = fmt::format("0 to {}, the model's layers", n_layers - 1)});
  return *layers;
}

// Takes the key `cache` out of the settings.
std::optional<double> take_cache(Node& settings) {
  const auto found = std::find_if(settings.entries.begin(), settings.entries.end(),
                                  [](const auto& entry) { return entry.key == "cache"; });
  if (found == settings.entries.end()) return std::nullopt;
  double share = 1;
  detail::read_value(found->value, "cache", Key{"cache", ""}.above(0).at_most(1), share);
  settings.entries.erase(found);
  return share;
}

void fit(VariantConfig& variant, double share, const DecoderConfig& base, const char* option) {
  const AttentionShape shape = base.attention_shape();
  const int64_t numbers = numbers_at(share, variant_cache(shape, native_variant(base)));
  if (auto problem = fit_to_cache(variant, shape, numbers)) {
    problem->file = option;
    throw InputError(*problem);
  }
}

// One step: "FORM[@LAYERS] [KEY=VALUE …]", and more settings.
ConversionStep read_step(const char* option, const std::string& text, const std::vector<std::string>& settings,
                         const DecoderConfig& base) {
  std::istringstream words(text);
  std::string head;
  words >> head;
  const size_t at = std::min(head.find('@'), head.size());
  const std::string form = head.substr(0, at);
  require_name(option, form, target_names());
  ConversionStep step;
  if (at < head.size())
    step.layers = layers_of(option, head.substr(at + 1), base.n_layers);
  else
    for (int64_t layer = 0; layer < base.n_layers; ++layer) step.layers.push_back(layer);
  Node root{.kind = Node::Kind::map, .file = option};
  const auto set = [&](const std::string& where, const std::string& setting) {
    const auto [path, value] = parse_setting(where, setting);
    set_path(root, path, value);
  };
  for (std::string setting; words >> setting;) set(option, setting);
  for (const auto& setting : settings) set("--set", setting);
  if (!settings.empty()) root.file = "--set";
  step.to = *target_defaults(form);
  const bool has_cache = std::holds_alternative<VariantConfig>(step.to);
  const auto cache = has_cache ? take_cache(root) : std::nullopt;
  step.to = target_with_options(std::move(step.to), root);
  if (cache) fit(std::get<VariantConfig>(step.to), *cache, base, root.file.c_str());
  return step;
}

}  // namespace

std::vector<ConversionStep> read_steps(const ConvertOptions& o, const DecoderConfig& base) {
  std::vector<ConversionStep> steps{read_step("--to", o.to, o.settings, base)};
  for (const auto& text : o.then) steps.push_back(read_step("--then", text, {}, base));
  return steps;
}

CalibratedOn calibrated_on(const ConvertOptions& o, const std::vector<ConversionStep>& steps) {
  const auto on = parse_name<CalibratedOn>("--calibrate-on", o.calibrated_on);
  const auto knows = [](const ConversionStep& step) {
    const auto* variant = std::get_if<VariantConfig>(&step.to);
    return variant && variant->is<MlaDeepseek>();
  };
  if (on == CalibratedOn::base && std::none_of(steps.begin(), steps.end(), knows))
    throw InputError(BadInput{.file = "--calibrate-on",
                              .found = "base",
                              .expected = "stages: mla_deepseek alone can be fitted to the base"});
  return on;
}

torch::ScalarType stored_dtype(const ConvertOptions& o, const Checkpoint& checkpoint) {
  if (o.dtype != "auto") return parse_dtype(o.dtype);
  for (const auto& name : checkpoint.names())
    if (name.starts_with("model.layers.0.self_attn.") && checkpoint.shape(name).size() == 2)
      return checkpoint.dtype(name);
  return torch::kFloat32;
}

CalibrationRows read_rows(const ConvertOptions& o, const Transform& transform, const DecoderConfig& config) {
  if (o.calibration.empty()) {
    if (transform.is_calibrated())
      throw InputError(BadInput{.file = "--calibration",
                                .found = "nothing",
                                .expected = "a text: " + o.to + " is fitted to what the model says of it"});
    if (o.heldout.empty())
      return {.heldout_NT = random_rows(config.vocab_size, 4, std::min<int64_t>(128, config.max_positions), 0)};
  }
  const std::string named = o.calibration.empty() ? o.heldout : o.calibration;
  std::optional<Tokenizer> tokenizer;
  if (!named.ends_with(".safetensors") || (!o.heldout.empty() && !o.heldout.ends_with(".safetensors"))) {
    tokenizer = Tokenizer::load(o.model);
    print_notes(tokenizer->notes());
  }
  auto rows = read_calibration(named, o.heldout, tokenizer ? &*tokenizer : nullptr, config.vocab_size, o.rows);
  const int64_t needed = transform.numbers_to_estimate(), found = rows.calibration_NT.numel();
  if (transform.is_calibrated() && found < needed)
    throw InputError(
        BadInput{.file = named,
                 .found = fmt::format("{} tokens for calibration", found),
                 .expected = fmt::format("at least {}: as many directions are estimated", needed)});
  return rows;
}

ConversionData data_of(const ConvertOptions& o, const CalibrationRows& rows, const Transform& transform) {
  ConversionData data{.precision = parse_name<Precision>("--calibration-precision", o.precision),
                      .heldout_precision = parse_name<Precision>("--heldout-precision", o.heldout_precision),
                      .measured = parse_name<Measured>("--measure", o.measured)};
  if (rows.calibration_NT.defined() && transform.is_calibrated())
    data.calibration = make_batches(rows.calibration_NT);
  if (rows.heldout_NT.defined()) data.heldout = make_batches(rows.heldout_NT);
  return data;
}

}  // namespace attnlab
