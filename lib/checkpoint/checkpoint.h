// A model folder in Hugging Face's layout: config.json beside model.safetensors, or beside shards that
// model.safetensors.index.json lists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_files.h"
#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "tensor/torch.h"

namespace attnlab {

// What an index and its shards disagree on. Readers that know the model say whether it matters.
struct IndexFault {
  std::string tensor;  // its plain name
  BadInput problem;
};

// Copies share the mapped files.
class Checkpoint {
 public:
  // Reads the config and all headers, no values. A hub id stands for its folder in the hub's cache
  // (core/hub_cache.h). model.safetensors is taken where an index is there too. Throws
  // InputError saying which file is missing, what is wrong in which one, or which format weights are in that
  // are not read. The index's metadata is not needed and not compared (total_size is wrong in some published
  // models whose matrices are tied). Tensors go by their plain names (tensor_names.h).
  static Checkpoint open(const std::filesystem::path& folder);
  // Shards should hold exactly the tensors that the index puts there: one less, one more, or one in two shards
  // is a mixture of two checkpoints, of which readers take different halves, unless the model has no such
  // tensor or has it twice. A tensor that no index names is here, and can be read.
  const std::vector<IndexFault>& index_faults() const;
  // Two tensors have the same shape and numbers, each in its own element type (equal NaNs count as equal).
  // Reads them once.
  bool same_numbers(const std::string& a, const std::string& b) const;

  const nlohmann::json& config() const;
  // Sorted.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  // See SafetensorsFile: mapped, not copied. Throw InputError with the nearest name if there is no such tensor.
  torch::Tensor tensor(const std::string& name) const;
  std::vector<int64_t> shape(const std::string& name) const;
  torch::ScalarType dtype(const std::string& name) const;
  // The tensor in that element type: mapped where the file has it so; converted by copy_to otherwise, so that
  // memory grows by the converted size alone.
  torch::Tensor tensor_as(const std::string& name, torch::ScalarType dtype) const;
  // See SafetensorsFile: into a tensor that is there already, of any element type and device. A model that is
  // filled this way takes its own memory and nothing more.
  void copy_to(const std::string& name, const torch::Tensor& into) const;
  // generation_config.json (the ids that end a text stand there), or null without that file. Throws InputError.
  nlohmann::json generation_config() const;
  const std::filesystem::path& folder() const;

  // What a user should know of how the folder was read, each once: what was passed over, or taken from one file
  // against another. Whoever reads adds to it, programs print it.
  std::vector<std::string> notes() const;
  void note(const std::string& text) const;

  // Of one file: its SHA-256. Of shards: the SHA-256 of the sorted lines "HASH  FILE\n". Reads all weights, on
  // the first call only.
  std::string weights_sha256() const;

 private:
  struct Contents;
  explicit Checkpoint(std::shared_ptr<const Contents> contents);
  struct Place;
  const Place& place_of(const std::string& name) const;
  std::shared_ptr<const Contents> contents_;
};

// All of a checkpoint in one call, in order of names. See CheckpointWriter (checkpoint_writer.h).
void write_checkpoint(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                      const TensorList& tensors, uint64_t max_shard_bytes = kShardBytes);

}  // namespace attnlab
