// Which parameters an arm trains.
#pragma once

#include <string>
#include <vector>

#include "model/decoder.h"

namespace attnlab {

// Scopes are
//   all             every parameter
//   attention       all of each layer's mixer
//   attention_kv    what makes keys and values: the mixer but for Mixer::query_and_output_parts
//   anything else   a pattern of parameter names, * for any text: "model.layers.*.mlp.*"
// Fixed parameters (DecoderLayer::fixed_parameters) are in no scope.
// Returns the names that at least one scope takes, in the decoder's order. Throws InputError (key: `key`) for a
// scope that takes no parameter, with the nearest scope or parameter.
std::vector<std::string> trainable_names(const Decoder& decoder, const std::vector<std::string>& scopes,
                                         const std::string& key);

// Sets requires_grad on exactly these parameters.
void set_trainable(Decoder& decoder, const std::vector<std::string>& names);

}  // namespace attnlab
