// Model folders whose weights are in no format that is read here: what they hold instead, and what to do.
#pragma once

#include <filesystem>

#include "core/errors.h"

namespace attnlab {

inline constexpr const char* kNoWeights = "no weights";

// For a folder without model.safetensors and without its index: names the weights that it has in another
// format (PyTorch, GGUF, TensorFlow, Flax, Mistral's own, a LoRA adapter, shards without an index, …), or says
// that there are none (found: kNoWeights).
BadInput no_weights_problem(const std::filesystem::path& folder);

// For what is no folder: nothing there, or a file, perhaps of weights.
BadInput no_folder_problem(const std::filesystem::path& path);

}  // namespace attnlab
