#include "convert_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "torch_program.h"

namespace attnlab {

void check_options(const ConvertOptions& o) {
  require_given("--model", o.model, "a model folder");
  require_given("--to", o.to, "one of " + join(transform_names()));
  require_given("--out", o.out, "the folder to write");
  require_range("--tokens", o.rows.tokens, 1);
  require_range("--row-length", o.rows.row_length, 2);
  require_range("--heldout-tokens", o.rows.heldout_tokens, 2);
}

VariantConfig read_settings(const ConvertOptions& o) {
  require_name("--to", o.to, transform_names());
  Node root{.kind = Node::Kind::map, .file = "--set"};
  for (const auto& text : o.settings) {
    const auto [path, value] = parse_setting("--set", text);
    set_path(root, path, value);
  }
  return with_options(*variant_defaults(o.to), root);
}

VariantConfig read_settled(const VariantConfig& variant, const nlohmann::ordered_json& settled) {
  return with_options(variant, parse_yaml(settled.dump(), "plan.json"));
}

torch::ScalarType stored_dtype(const ConvertOptions& o, const Checkpoint& checkpoint,
                               const DecoderConfig& config) {
  if (o.dtype != "auto") return parse_dtype(o.dtype);
  return checkpoint.dtype(file_tensor(config, "model.layers.0.self_attn.q_proj.weight").name);
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
  if (!named.ends_with(".safetensors") || (!o.heldout.empty() && !o.heldout.ends_with(".safetensors")))
    tokenizer = Tokenizer::load(o.model);
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
  ConversionData data{.precision = parse_name<Precision>("--calibration-precision", o.precision)};
  if (rows.calibration_NT.defined() && transform.is_calibrated())
    data.calibration = make_batches(rows.calibration_NT);
  if (rows.heldout_NT.defined()) data.heldout = make_batches(rows.heldout_NT);
  return data;
}

}  // namespace attnlab
