// Tensors of a checkpoint that its model has no parameter for: which of them may be there, and what is said.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/decoder_config.h"

namespace attnlab {

inline constexpr const char* kOutputTensor = "lm_head.weight";
inline constexpr const char* kEmbeddingTensor = "model.embed_tokens.weight";

// config.json says that the output matrix is the embedding, and the files hold an output matrix with other
// numbers. Reads both, once.
bool has_own_output(const Checkpoint& checkpoint, const DecoderConfig& config);

// Looks at `surplus`, names without a parameter of the model. Fit to be passed over, with one note for each
// kind where they could matter (Checkpoint::note), are
// - the output matrix where it is the embedding, if it is equal to it: in silence;
// - buffers of rotary position: frequencies that are those of config.json in silence, others with a note
//   (config.json counts, as with Hugging Face transformers);
// - scales of an fp8 cache (k_scale, v_scale, …), which act on a cache in that format alone;
// - the layers behind the last that predict further tokens (DeepSeek-V3's, recognised by their eh_proj).
// Throws InputError for all else, saying what it is where that is known. `needed`: the names that the model
// has, sorted.
void check_surplus(const Checkpoint& checkpoint, const DecoderConfig& config,
                   const std::vector<std::string>& needed, const std::vector<std::string>& surplus);
// Throws InputError for the first thing that an index and its shards disagree on and that is about another
// tensor than those.
void check_index(const Checkpoint& checkpoint, const DecoderConfig& config,
                 const std::vector<std::string>& needed);

}  // namespace attnlab
