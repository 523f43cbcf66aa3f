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
  std::vector<std::string> settings, then;
  CalibrationOptions rows;
  bool approximate_qk_norm = false;
  std::string precision = "float32", heldout_precision = "float32", measured = "stages";
  std::string calibrated_on = "stages";
};

// Throws InputError for what is missing or out of range.
void check_options(const ConvertOptions& o);
// What --to, with --set in it, and each --then ask for: "FORM[@LAYERS] [KEY=VALUE …]", in order. Without
// layers: all of the model's. The setting cache=SHARE stands for the ranks with which a layer keeps at most
// this part of what the model's keeps of a token. Throws InputError.
std::vector<ConversionStep> read_steps(const ConvertOptions& o, const DecoderConfig& base);
// Throws InputError where no step knows another than stages.
CalibratedOn calibrated_on(const ConvertOptions& o, const std::vector<ConversionStep>& steps);
// --dtype, or that of the checkpoint.
torch::ScalarType stored_dtype(const ConvertOptions& o, const Checkpoint& checkpoint);
// Throws InputError if the text is missing or too short for what the transform estimates.
CalibrationRows read_rows(const ConvertOptions& o, const Transform& transform, const DecoderConfig& config);
ConversionData data_of(const ConvertOptions& o, const CalibrationRows& rows, const Transform& transform);

}  // namespace attnlab
