// The model of one arm: the base converted into the arm's variant, with the arm's parameters set to train.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convert/equivalence.h"
#include "experiment/arms/arm_conversion.h"
#include "experiment/inputs/inputs.h"
#include "model/decoder.h"

namespace attnlab {

struct ArmModel {
  std::shared_ptr<Decoder> decoder;
  int64_t parameters_total = 0, parameters_trainable = 0;
};

// `start`: the weights of a calibrated variant (convert_arm); null: those that follow from the base's weights
// alone. Throws InputError if the variant cannot be made from this base or no parameter would train.
ArmModel make_arm_model(const RunConfig& config, const Base& base, torch::Device device,
                        const ArmWeights* start = nullptr);

// The same, with a calibrated variant's weights made here or taken from `results`/conversions (convert_arm).
ArmModel convert_arm_model(const RunConfig& config, const Base& base, const Data& data, torch::Device device,
                           const std::filesystem::path& results,
                           const std::function<void(const std::string&)>& note);

// How far the arm's model is from the base's, on held-out text, both on the arm's device in float32.
Equivalence compare_with_base(const Base& base, const Data& data, Decoder& arm);

// The trained model with the base's tokenizer: in Hugging Face's layout where the arm's variant is the base's
// own, otherwise in the project's (model/model_form.h).
void save_arm_model(const std::filesystem::path& folder, const Decoder& decoder, const Base& base);

}  // namespace attnlab
