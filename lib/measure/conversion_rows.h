// What measure_conversion measures of a base: conversions, norms, Gram matrices.
#pragma once

#include "convert/calibration_text.h"
#include "convert/conversion.h"
#include "convert/dimension_norms.h"
#include "measure/conversion_plan.h"
#include "results/measurements.h"

namespace attnlab {

struct BaseOptions {
  std::string model, name, calibration, heldout;  // name: "" for that of the folder
  CalibrationOptions rows{.tokens = 8192, .heldout_tokens = 4096};
  torch::Device device = torch::kCPU;
};

// The base and the text that it is measured on.
struct MeasuredBase {
  std::string name;  // as figures call it
  ModelSource source;
  ConversionData data;
  FlatFields facts;                // hashes, tokens
  std::vector<std::string> notes;  // of how the checkpoint was read
};
// Throws InputError for a base that has no GQA to convert, or that no form can be made of (see
// complete_grid), and for a text that is too short.
MeasuredBase read_base(const BaseOptions& o, const ConversionGrid& wanted);

// freqfold: auto of mla_deepseek.
int64_t chosen_freqfold(const MeasuredBase& base, const ConversionProgress& progress);

// The kept stages of one conversion.
std::vector<ConversionRow> conversion_rows(const MeasuredBase& base, const PlannedConversion& planned,
                                           const ConversionProgress& progress);
// Of all layers: keys before and after rotation with each freqfold; with `freqfold`, keys without rotary and
// values before and after balancing.
std::vector<NormRow> norm_rows(const MeasuredBase& base, const std::vector<int64_t>& freqfolds,
                               int64_t freqfold, const ConversionProgress& progress);
// Of the first layer in the forms mla_identity and mla_orthogonal, converted; the leading `columns`.
std::vector<GramRow> converted_gram_rows(const MeasuredBase& base, int64_t columns);
// The same of a trained model of one of these forms. Throws InputError for another one.
std::vector<GramRow> trained_gram_rows(const std::string& folder, const std::string& base, int64_t columns);

}  // namespace attnlab
