#include "experiment/run/run_state.h"

#include <fmt/format.h>

#include "results/run_reader.h"

namespace attnlab {
namespace fs = std::filesystem;

RunFiles files_of(const PlannedRun& run) {
  const fs::path folder = run.file.parent_path();
  const std::string stem = run.file.stem().string();
  return {.results = run.file,
          .state = folder / (stem + ".state.safetensors"),
          .lock = folder / ("." + stem + ".lock"),
          .model = folder / (stem + ".model")};
}

void check_same_config(const PlannedRun& run) {
  if (!fs::exists(run.file)) return;
  FlatFields there = read_run_header(run.file).header.config, here = flatten(run.config);
  for (auto* fields : {&there, &here})
    std::erase_if(*fields, [&](const auto& field) {
      // None of them changes a result.
      return field.first == "device" || field.first == "train.save_model" || field.first == "train.shard" ||
             (run.rate_is_open && field.first == "train.lr");
    });
  const auto different = differences(there, here);
  if (different.empty()) return;
  std::string listed = different[0];
  for (size_t i = 1; i < std::min<size_t>(different.size(), 3); ++i) listed += "; " + different[i];
  if (different.size() > 3) listed += fmt::format("; and {} more", different.size() - 3);
  throw InputError(BadInput{.file = run.file.string(),
                            .found = "a run of another config (" + listed + ")",
                            .expected = "the same config, or another folder (--out DIR)"});
}

int64_t weights_bytes(const TrainConfig& config, int64_t parameters) {
  return parameters * (weight_type(config.precision) == torch::kFloat32 ? 4 : 2);
}

bool keeps_weights(const TrainConfig& config, int64_t parameters) {
  if (config.save_model == KeepWeights::automatic)
    return weights_bytes(config, parameters) <= small_model_bytes;
  return config.save_model == KeepWeights::yes;
}

bool is_complete(const PlannedRun& run) {
  return fs::exists(run.file) && read_state(run.file) == RunState::complete;
}

}  // namespace attnlab
