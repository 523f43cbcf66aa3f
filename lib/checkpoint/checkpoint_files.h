// File names and sizes of a model folder in Hugging Face's layout.
#pragma once

#include <cstdint>

namespace attnlab {

inline constexpr const char* kConfigFile = "config.json";
inline constexpr const char* kGenerationConfigFile = "generation_config.json";
inline constexpr const char* kWeightsFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";
inline constexpr const char* kAdapterFile = "adapter_config.json";  // of PEFT
inline constexpr uint64_t kShardBytes = 5'000'000'000;              // of tensors, what Hugging Face calls 5GB

}  // namespace attnlab
