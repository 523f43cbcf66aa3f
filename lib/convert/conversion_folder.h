// The folder that a conversion writes to, and goes on from after a kill.
//
// While it runs, OUT/.conversion holds plan.json (what is being done), a file for each finished layer, and the
// states before the next one. At the end the checkpoint is written, and that folder goes.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "convert/conversion.h"
#include "core/files.h"

namespace attnlab {

class ConversionFolder final : public ConversionStore {
 public:
  // `plan`: all that the result depends on. Throws InputError if the folder holds something else than the same
  // conversion, begun before; RunError if another process is at it.
  ConversionFolder(std::filesystem::path out, nlohmann::ordered_json plan, torch::ScalarType stored);

  // What prepare() settled before the kill; null: nothing yet.
  const nlohmann::json& settled() const { return settled_; }
  void settle(const nlohmann::ordered_json& options);

  std::optional<Position> position() override;
  void put(int64_t layer, const TensorMap& tensors) override;
  void put_outer(const TensorMap& tensors) override { outer_ = tensors; }
  void save(const Position& position) override;

  // Writes config.json, the tensors, conversion.json and the source's tokenizer files; of packed matrices
  // quantize_config.json, too, which older readers look for.
  void finish(const ModelForm& form, const Checkpoint& source, const nlohmann::ordered_json& report);

 private:
  std::filesystem::path layer_file(int64_t layer) const;

  std::filesystem::path out_, work_;
  nlohmann::ordered_json plan_;
  nlohmann::json settled_;
  torch::ScalarType stored_;
  TensorMap outer_;
  std::optional<FileLock> lock_;
};

// "float32", "bfloat16", "float16", as config.json says it.
std::string stored_name(torch::ScalarType dtype);

}  // namespace attnlab
