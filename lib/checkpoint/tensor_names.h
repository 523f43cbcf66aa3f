// The names of a model's tensors as a causal language model of Hugging Face's has them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace attnlab {

// Name in the files → plain name ("model.layers.0.…", "lm_head.weight"), of every tensor. The files of a base
// class (LlamaModel) lack "model.", which is put in front of its parts; all other names stay as they are.
// Throws InputError, saying what to do, for
// - an adapter that was not merged (PEFT's lora_A, lora_B, …);
// - names that a wrapper of training changed: "_orig_mod." (torch.compile), "module."
// (DistributedDataParallel),
//   PEFT's "base_model.model.", or anything else that stands in front of all of them. Hugging Face transformers
//   finds no weight in such a file, and goes on with random ones;
// - two names of one tensor.
std::map<std::string, std::string> plain_names(const std::vector<std::string>& names,
                                               const std::filesystem::path& folder);

}  // namespace attnlab
