// Writing a model folder in Hugging Face's layout, tensor by tensor: model.safetensors, or
// model-00001-of-0000N.safetensors and so on beside model.safetensors.index.json, and config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/checkpoint_files.h"
#include "tensor/torch.h"

namespace attnlab {

struct CheckpointWriterOptions {
  uint64_t max_shard_bytes = kShardBytes;  // of tensors; a larger tensor gets a file of its own
};

// Tensors go to the disk at once, so that a model larger than memory can be written; up to one shard lies there
// twice for a while. Nothing shows under its final name before finish(): until then, and after a writer that
// ended without it, the folder is what it was before. One writer per folder at a time.
class CheckpointWriter {
 public:
  // Throws InputError for a shard size of 0, RunError if the folder can't be written to.
  explicit CheckpointWriter(std::filesystem::path folder, const CheckpointWriterOptions& options = {});
  // Removes what was not finished.
  ~CheckpointWriter();

  // Adds a tensor on any device and with any strides; its values are copied. In the order of the calls tensors
  // fill the shards; the bytes of all files depend on that order, names, values and the config alone. Throws
  // InputError for a name that was added before and as write_safetensors does, RunError if the disk is full:
  // then the checkpoint can't be finished.
  void add(const std::string& name, const torch::Tensor& tensor);

  // Replaces the checkpoint that is in the folder, if any: config.json is removed first and comes last, between
  // them the old shards, index or single file go and the new ones come, so that a folder that can be opened
  // never holds a mixture. Other files (tokenizers) stay. To be called once, last. Throws RunError.
  void finish(const nlohmann::ordered_json& config);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attnlab
