// The form mla_deepseek as stock DeepSeek-V3, which transformers and serving engines load without code of ours.
//
// Stock code norms the latents. One latent number more is fed by a bias alone with a constant C that is large
// against the others, the norm's weight is C / √(R + 1) throughout, and kv_b_proj does not read it: then the
// norm is the identity up to |latent|² / 2 C². Biases of queries, which stock code has no place for, go the
// same way: q_b_proj reads the constant (where queries are not compressed, W_QA is the identity: D + 1 latent
// numbers).
#pragma once

#include <optional>

#include "attention/gqa_weights.h"
#include "core/errors.h"
#include "model/model_form.h"

namespace attnlab {

// Why a form can't be said in DeepSeek-V3's config.json and modules, if so: windows, caps, experts, other
// activations and norms. All layers are mla_deepseek with the same
// options.
std::optional<BadInput> export_problem(const ModelForm& form);

// The form of what export_layer gives. `export_problem` must be empty.
ModelForm exported_form(const ModelForm& form);

// Attention's tensors in that form. `input_norm`: the weight of the norm before attention, which says how large
// its inputs are. `dtype`: what the checkpoint will be stored in: the constants are rounded to it first, and
// what rounding does to them is taken out of the matrices behind. float32.
TensorMap export_layer(const ModelForm& form, const TensorMap& attention, const torch::Tensor& input_norm,
                       torch::ScalarType dtype);

}  // namespace attnlab
