#include "checkpoint/checkpoint_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_layout.h"
#include "checkpoint/temporary_file.h"
#include "core/errors.h"
#include "core/json.h"

namespace attnlab {

namespace fs = std::filesystem;

namespace {

const std::map<std::string, std::string> kMetadata{{"format", "pt"}};  // loaders ask for it

std::string shard_file(size_t shard, size_t shards) {
  return shards == 1 ? kWeightsFile : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
}

std::vector<fs::path> matching_files(const fs::path& folder, const char* pattern) {
  const std::regex wanted(pattern);
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (std::regex_match(entry.path().filename().string(), wanted)) found.push_back(entry.path());
  return found;
}

void remove_weights(const fs::path& folder) {
  remove_file(folder / kWeightsFile);
  remove_file(folder / kIndexFile);
  for (const auto& shard : matching_files(folder, "model-[0-9]{5}-of-[0-9]{5}\\.safetensors"))
    remove_file(shard);
}

// Gives a folder that was made for nothing back.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& path) : path_(path) {
    std::error_code ignored;  // whoever creates a file in it gives the reason
    made_ = fs::create_directories(path, ignored);
  }
  ~NewFolder() {
    std::error_code ignored;  // kept where it holds something
    if (made_) fs::remove(path_, ignored);
  }

 private:
  fs::path path_;
  bool made_ = false;
};

}  // namespace

// Declared in the order in which a destructor must not undo them: the folder goes last.
struct CheckpointWriter::State {
  State(fs::path path, uint64_t max_bytes)
      : folder(std::move(path)), max_shard_bytes(max_bytes), made(folder), spool(folder) {}

  void seal();
  std::string index_text() const;

  fs::path folder;
  uint64_t max_shard_bytes;
  NewFolder made;
  SpoolFile spool;                          // the bytes of `slots`, in the order of add
  std::vector<TensorSlot> slots;            // of the shard that is being filled
  std::map<std::string, uint64_t> offsets;  // of `slots` in the spool
  std::deque<TemporaryFile> shards;         // whole, but for their names
  std::map<std::string, size_t> places;     // tensor → shard, of all that were added
  uint64_t total_bytes = 0;
  int64_t total_numbers = 0;
  bool usable = true;
};

CheckpointWriter::CheckpointWriter(fs::path folder, const CheckpointWriterOptions& options) {
  if (options.max_shard_bytes == 0)
    throw InputError({.key = "max_shard_bytes", .found = "0", .expected = "a number of bytes from 1"});
  state_ = std::make_unique<State>(std::move(folder), options.max_shard_bytes);
  // Left by a writer that was killed.
  for (const auto& file : matching_files(state_->folder, "model-[0-9]{5}\\.safetensors\\.tmp"))
    remove_file(file);
}

CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::add(const std::string& name, const torch::Tensor& tensor) {
  State& state = *state_;
  ATTNLAB_CHECK(state.usable);
  TensorSlot slot = slot_of(name, tensor);
  if (state.places.count(name))
    throw InputError(
        {.key = printable(name), .found = "a second tensor of that name", .expected = "each name once"});
  state.usable = false;
  if (!state.slots.empty() && state.spool.size() + slot.bytes > state.max_shard_bytes) state.seal();
  state.offsets[name] = state.spool.size();
  state.places[name] = state.shards.size();
  state.total_bytes += slot.bytes;
  state.total_numbers += tensor.numel();
  const auto values = plain_values(tensor);
  if (slot.bytes > 0) state.spool.append(static_cast<const char*>(values.data_ptr()), slot.bytes);
  state.slots.push_back(std::move(slot));
  state.usable = true;
}

// The spooled tensors become a shard, in the order that the format's alignment asks for.
void CheckpointWriter::State::seal() {
  sort_slots(slots);
  auto& file = shards.emplace_back(folder / fmt::format("model-{:05}.safetensors.tmp", shards.size() + 1));
  file.write(header_bytes(slots, kMetadata));
  for (const auto& slot : slots) spool.copy(offsets.at(slot.name), slot.bytes, file);
  file.close();
  spool.clear();
  slots.clear();
  offsets.clear();
}

std::string CheckpointWriter::State::index_text() const {
  nlohmann::json index{{"metadata", {{"total_parameters", total_numbers}, {"total_size", total_bytes}}}};
  auto& map = index["weight_map"] = nlohmann::json::object();
  for (const auto& [name, shard] : places) map[name] = shard_file(shard, shards.size());
  return index.dump(2) + "\n";
}

void CheckpointWriter::finish(const nlohmann::ordered_json& config) {
  State& state = *state_;
  ATTNLAB_CHECK(state.usable);
  state.usable = false;
  if (!state.slots.empty() || state.shards.empty()) state.seal();
  // All that can fill the disk comes before the old checkpoint goes.
  TemporaryFile config_file(state.folder / (std::string(kConfigFile) + ".tmp"));
  config_file.write(config.dump(2) + "\n");
  config_file.close();
  std::optional<TemporaryFile> index;
  if (state.shards.size() > 1) {
    index.emplace(state.folder / (std::string(kIndexFile) + ".tmp"));
    index->write(state.index_text());
    index->close();
  }
  remove_file(state.folder / kConfigFile);
  sync_folder(state.folder);
  remove_weights(state.folder);
  for (size_t i = 0; i < state.shards.size(); ++i)
    state.shards[i].publish(state.folder / shard_file(i, state.shards.size()));
  if (index) index->publish(state.folder / kIndexFile);
  sync_folder(state.folder);
  config_file.publish(state.folder / kConfigFile);
  sync_folder(state.folder);
}

void write_checkpoint(const fs::path& folder, const nlohmann::ordered_json& config, const TensorList& tensors,
                      uint64_t max_shard_bytes) {
  CheckpointWriter writer(folder, {.max_shard_bytes = max_shard_bytes});
  for (const auto& [name, tensor] : tensors) writer.add(name, tensor);
  writer.finish(config);
}

}  // namespace attnlab
