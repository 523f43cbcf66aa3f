// The file that a run goes on from: tensors and texts with a digest of all of them, the last few kept.
//
// PATH is the newest, "seed0.state.safetensors"; older ones are "seed0.state.1.safetensors", ….
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "ranks/world.h"

namespace attnlab {

// Writes the newest state and keeps `keep` in all (from 1). A kill or a power failure at any instant leaves the
// states before it, or this one. Throws RunError (disk full, …).
void write_state(const std::filesystem::path& path, const TensorList& tensors,
                 std::map<std::string, std::string> metadata, int64_t keep = 1);

// A tensor whose values come when it is their turn to be written.
struct LateTensor {
  torch::Tensor like;                     // its shape and format
  std::function<torch::Tensor()> values;  // at ranks other than the first anything
};
// The same, one tensor in memory at a time. All ranks call it, with the same names, and are asked for values in
// the same order; rank 0 writes, and all throw what it throws.
void stream_state(const std::filesystem::path& path, const std::map<std::string, LateTensor>& tensors,
                  std::map<std::string, std::string> metadata, int64_t keep, World& world = World::alone());

// Opens a state and compares it with its digest. Throws InputError if it is not as it was written.
SafetensorsFile open_state(const std::filesystem::path& path);

struct FoundState {
  SafetensorsFile file;
  std::vector<std::string> damaged;  // newer states that are not as they were written, one line each
};
// The newest state that is whole. Damaged ones that are newer are removed, so that they take no whole one's
// place. Nothing: there is no state. Throws InputError if there are states and none of them is whole.
std::optional<FoundState> find_state(const std::filesystem::path& path);
// The state that find_state would give, if any is whole; nothing is removed, and no damage told.
std::optional<SafetensorsFile> newest_state(const std::filesystem::path& path);

// Removes all states of this run.
void remove_states(const std::filesystem::path& path);

}  // namespace attnlab
