// A model folder in Hugging Face's layout: config.json beside model.safetensors, or beside shards that
// model.safetensors.index.json lists.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace attnlab {

// Copies share the mapped files.
class Checkpoint {
 public:
  // Reads the config and all headers, no values. model.safetensors is taken where an index is there too. Throws
  // InputError saying which file is missing, or what is wrong in which one; a tensor that the index puts into a
  // shard must be there.
  static Checkpoint open(const std::filesystem::path& folder);

  const nlohmann::json& config() const;
  // Sorted. With shards: those that the index names.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  // See SafetensorsFile: mapped, not copied. Throw InputError with the nearest name if there is no such tensor.
  torch::Tensor tensor(const std::string& name) const;
  std::vector<int64_t> shape(const std::string& name) const;
  torch::ScalarType dtype(const std::string& name) const;
  const std::filesystem::path& folder() const;
  // Of one file: its SHA-256. Of shards: the SHA-256 of the sorted lines "HASH  FILE\n". Reads all weights, on
  // the first call only.
  std::string weights_sha256() const;

 private:
  struct Contents;
  explicit Checkpoint(std::shared_ptr<const Contents> contents);
  const SafetensorsFile& file_of(const std::string& name) const;
  std::shared_ptr<const Contents> contents_;
};

// Writes model.safetensors (metadata {"format": "pt"}, which loaders ask for), then config.json, each
// atomically. A config.json that differs from the new one is removed first: a folder that can be opened is
// never a mixture. Throws as write_safetensors does.
void write_checkpoint(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                      const TensorList& tensors);

}  // namespace attnlab
