// What convert_model works on: its options, checked, and the texts that they name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "convert/calibration_text.h"
#include "convert/transform.h"

namespace attnlab {

// What the command line says.
struct ConvertOptions {
  std::string model, to, out, calibration, heldout, dtype = "auto", device = "auto";
  std::vector<std::string> settings;
  CalibrationOptions rows;
  bool approximate_qk_norm = false;
  std::string precision = "float32";
};

// Throws InputError for what is missing or out of range.
void check_options(const ConvertOptions& o);
// The form with --set in it.
VariantConfig read_settings(const ConvertOptions& o);
// What the settings became in the run that was killed.
VariantConfig read_settled(const VariantConfig& variant, const nlohmann::ordered_json& settled);
// --dtype, or that of the checkpoint.
torch::ScalarType stored_dtype(const ConvertOptions& o, const Checkpoint& checkpoint,
                               const DecoderConfig& config);
// Throws InputError if the text is missing or too short for what the transform estimates.
CalibrationRows read_rows(const ConvertOptions& o, const Transform& transform, const DecoderConfig& config);
ConversionData data_of(const ConvertOptions& o, const CalibrationRows& rows, const Transform& transform);

}  // namespace attnlab
