// Weights of a decoder: loading by the names that its files have, whole or layer by layer, converting a GQA
// base into a variant, initialising, and back into the files' names.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "attention/gqa_weights.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder.h"
#include "model/model_form.h"

namespace attnlab {

// What the folder says its model is: config.json, but that an output matrix of the files' own, which differs
// from the embedding, is used although tie_word_embeddings is true (as Hugging Face transformers 5 does); the
// form says so, and what is written from it. Throws InputError as read_model_form does. What a user should know
// stands in checkpoint.notes().
ModelForm read_checkpoint_form(const Checkpoint& checkpoint);

// All tensors of the checkpoint's own decoder by the decoder's names, in `dtype`: mapped, not copied, where the
// file has that format (then writing to them is seen by later reads, never by the file); otherwise converted
// one at a time. float32 keeps conversions exact. Throws InputError naming file and tensor if one is missing,
// surplus, or has a shape that the config does not give it.
TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config,
                            torch::ScalarType dtype = torch::kFloat32);

// The checkpoint holds every tensor of the form's decoder with its shape, and no other that could matter
// (surplus_tensors.h). Reads headers, and of what the form has twice the numbers. Throws InputError as
// read_base_weights does.
void check_checkpoint(const Checkpoint& checkpoint, const ModelForm& form);

// One layer's tensors, named without "model.layers.N." ("self_attn.q_proj.weight"), on `device`. They are
// copied past the mapping: memory grows by this layer alone, and shrinks again when they are dropped. Of a
// fused tensor they are views. Throws InputError if one is missing or has another shape.
TensorMap read_layer_weights(const Checkpoint& checkpoint, const ModelForm& form, int64_t layer,
                             torch::ScalarType dtype, torch::Device device);
// The tensors that are in no layer (embedding, final norm, output matrix unless tied), by the decoder's names:
// mapped where dtype and device allow. Throws as read_layer_weights does.
TensorMap read_outer_weights(const Checkpoint& checkpoint, const ModelForm& form, torch::ScalarType dtype,
                             torch::Device device);

// Random weights of the config's own decoder, a pure function of the seed: normal with deviation 0.02, and
// 0.02 / √(2 L) for the matrices that write to the residual stream (GPT-2's rule); norms 1, biases 0. float32
// on the CPU.
TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed);

// The base's weights in the form's: of each layer that is not of the base's own variant the mixer is converted,
// all else stays. The variants must fit the base (`variant_problem`).
TensorMap convert_weights(const TensorMap& base, const ModelForm& form);

// Copies tensors into the decoder's parameters (any dtype and device). Every parameter must be there.
void load_weights(Decoder& decoder, const TensorMap& weights);
// The decoder's parameters on the CPU.
TensorMap copy_weights(const Decoder& decoder);

// A decoder for inference on the CPU or another device, with the attention that the checkpoint's config.json
// says (read_checkpoint_form), its parameters being the mapped tensors themselves where dtype and device allow.
// Throws InputError as read_checkpoint_form and read_base_weights do.
std::shared_ptr<Decoder> load_decoder(const Checkpoint& checkpoint, torch::ScalarType dtype,
                                      torch::Device device);

// Tensors by the family's names: fused where the family fuses. Only for weights of the config's own variant.
TensorMap to_file_tensors(const DecoderConfig& config, const TensorMap& weights);
// Tensors by the names that the form's files have: those of the family, or unchanged in the own layout.
TensorMap to_file_tensors(const ModelForm& form, const TensorMap& weights);

}  // namespace attnlab
