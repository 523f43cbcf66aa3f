// Weights of a decoder: loading by the names that a family's files have, converting a GQA base into a variant,
// initialising, and back into the files' names.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "attention/attention.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder.h"

namespace attnlab {

// All tensors of the checkpoint's own decoder by the decoder's names, in `dtype`: mapped, not copied, where the
// file has that format (then writing to them is seen by later reads, never by the file); otherwise converted
// one at a time. float32 keeps conversions exact. Throws InputError naming file and tensor if one is missing,
// surplus, or has a shape that the config does not give it.
TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config,
                            torch::ScalarType dtype = torch::kFloat32);

// Random weights of the config's own decoder, a pure function of the seed: normal with deviation 0.02, and
// 0.02 / √(2 L) for the matrices that write to the residual stream (GPT-2's rule); norms 1, biases 0. float32
// on the CPU.
TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed);

// The base's weights in the variant's form: attention converted layer by layer, all else as it is. The variant
// must fit the base (`variant_problem`).
TensorMap convert_weights(const TensorMap& base, const DecoderConfig& config, const VariantConfig& variant);

// Copies tensors into the decoder's parameters (any dtype and device). Every parameter must be there.
void load_weights(Decoder& decoder, const TensorMap& weights);
// The decoder's parameters on the CPU.
TensorMap copy_weights(const Decoder& decoder);

// A decoder for inference on the CPU or another device: the checkpoint's own attention, its parameters being
// the mapped tensors themselves where dtype and device allow. Throws InputError as read_base_weights does.
std::shared_ptr<Decoder> load_decoder(const Checkpoint& checkpoint, torch::ScalarType dtype,
                                      torch::Device device);

// Tensors by the family's names: fused where the family fuses. Only for weights of the config's own variant.
TensorMap to_file_tensors(const DecoderConfig& config, const TensorMap& weights);

}  // namespace attnlab
