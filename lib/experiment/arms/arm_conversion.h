// The weights that an arm starts from, where its variant is fitted to calibration text.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "experiment/arms/arm_form.h"
#include "experiment/inputs/inputs.h"

namespace attnlab {

struct ArmWeights {
  ModelForm form;     // the arm's, with what was settled on the way (freqfold: auto, ranks)
  TensorMap weights;  // of Decoder(form)
};

// nullopt where all variants follow from the base's weights alone. Calibration text: training examples in their
// order, data.calibration_tokens of them in rows; settings that are chosen by perplexity are so on held-out
// examples. Computed on `device` once for each base, data and options, and kept in `cache` by their hash, so
// that seeds, sweep points and resumed runs start from the same numbers. Throws InputError.
std::optional<ArmWeights> convert_arm(const RunConfig& config, const Base& base, const Data& data,
                                      torch::Device device, const std::filesystem::path& cache,
                                      const std::function<void(const std::string&)>& note);

// Tokens of examples, one behind the other, in rows of `length`; at most `tokens`.
torch::Tensor example_rows(const Dataset& examples, const Tokenizer& tokenizer, int64_t tokens, int64_t length);

}  // namespace attnlab
