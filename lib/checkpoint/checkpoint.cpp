#include "checkpoint/checkpoint.h"

#include <fmt/ranges.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/checkpoint_files.h"
#include "checkpoint/json.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {

namespace fs = std::filesystem;

struct Checkpoint::Contents {
  fs::path folder;
  nlohmann::json config;
  std::map<std::string, SafetensorsFile> files;          // file name → file
  std::map<std::string, const SafetensorsFile*> places;  // tensor → its file
  mutable std::mutex hash_lock;
  mutable std::string hash;
};

namespace {

using Files = std::map<std::string, SafetensorsFile>;
using Places = std::map<std::string, const SafetensorsFile*>;

void need_file(const fs::path& folder, const std::string& name, const std::string& key, const fs::path& asker) {
  if (!fs::is_regular_file(folder / name))
    throw InputError(
        {.file = asker.string(), .key = key, .found = "no " + name, .expected = "a file of that name"});
}

// A shard's name from the index. One with a folder in it could lead out of the checkpoint.
const std::string& shard_name(const fs::path& index, const std::string& tensor, const nlohmann::json& value) {
  const std::string* name = value.get_ptr<const std::string*>();
  if (!name || name->empty() || name->find('/') != std::string::npos || *name == "." || *name == "..")
    throw InputError({.file = index.string(),
                      .key = printable("weight_map." + tensor),
                      .found = name ? "'" + printable(*name) + "'" : std::string("a JSON ") + value.type_name(),
                      .expected = "the name of a file in the same folder"});
  return *name;
}

// A tensor of a shard that the index doesn't name, or puts into another one.
void check_no_more(const fs::path& index, const std::string& name, const SafetensorsFile& file,
                   const Places& places) {
  for (const auto& tensor : file.names()) {
    const auto place = places.find(tensor);
    if (place == places.end())
      throw InputError({.file = file.path().string(),
                        .key = printable(tensor),
                        .found = "a tensor that " + index.filename().string() + " doesn't name",
                        .expected = "only those that it puts into " + name});
    if (place->second != &file)
      throw InputError({.file = file.path().string(),
                        .key = printable(tensor),
                        .found = "a tensor that is in " + place->second->path().filename().string() + " too",
                        .expected = "only those that " + index.filename().string() + " puts into " + name});
  }
}

void open_shards(const fs::path& folder, Files& files, Places& places) {
  const fs::path index = folder / kIndexFile;
  const auto root = parse_json_map(index);
  const auto map = root.find("weight_map");
  if (map == root.end() || !map->is_object())
    throw InputError({.file = index.string(),
                      .key = "weight_map",
                      .found = map == root.end() ? "nothing" : std::string("a JSON ") + map->type_name(),
                      .expected = "a map from tensor to file"});
  for (const auto& [tensor, value] : map->items()) {
    const auto& name = shard_name(index, tensor, value);
    if (!files.count(name)) {
      need_file(folder, name, printable("weight_map." + tensor), index);
      files.emplace(name, SafetensorsFile::open(folder / name));
    }
    const SafetensorsFile& file = files.at(name);
    if (!file.has(tensor))
      throw InputError({.file = index.string(),
                        .key = printable("weight_map." + tensor),
                        .found = "no such tensor in " + name,
                        .expected = "a tensor of that file",
                        .nearest = nearest_printable(tensor, file.names())});
    places.emplace(tensor, &file);
  }
  for (const auto& [name, file] : files) check_no_more(index, name, file, places);
}

void open_weights(const fs::path& folder, Files& files, Places& places) {
  if (fs::exists(folder / kWeightsFile)) {
    const auto& file = files.emplace(kWeightsFile, SafetensorsFile::open(folder / kWeightsFile)).first->second;
    for (const auto& name : file.names()) places.emplace(name, &file);
  } else if (fs::exists(folder / kIndexFile)) {
    open_shards(folder, files, places);
  } else {
    const bool pickled = fs::exists(folder / "pytorch_model.bin");
    throw InputError({.file = folder.string(),
                      .found = pickled ? "weights in pytorch_model.bin alone" : "no weights",
                      .expected = fmt::format("{} or {}", kWeightsFile, kIndexFile)});
  }
}

}  // namespace

Checkpoint::Checkpoint(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}

Checkpoint Checkpoint::open(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw InputError({.file = folder.string(),
                      .found = fs::exists(folder) ? "a file" : "nothing there",
                      .expected = "a model folder with config.json and model.safetensors"});
  need_file(folder, kConfigFile, "", folder);
  auto contents = std::make_shared<Contents>();
  contents->folder = folder;
  contents->config = parse_json_map(folder / kConfigFile);
  open_weights(folder, contents->files, contents->places);
  return Checkpoint(std::move(contents));
}

const nlohmann::json& Checkpoint::config() const { return contents_->config; }
const fs::path& Checkpoint::folder() const { return contents_->folder; }
bool Checkpoint::has(const std::string& name) const { return contents_->places.count(name) > 0; }

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : contents_->places) names.push_back(name);
  return names;
}

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto place = contents_->places.find(name);
  if (place == contents_->places.end())
    throw InputError({.file = contents_->folder.string(),
                      .key = name,
                      .found = "no such tensor",
                      .expected = fmt::format("one of the checkpoint's {}", contents_->places.size()),
                      .nearest = nearest_printable(name, names())});
  return *place->second;
}

torch::Tensor Checkpoint::tensor(const std::string& name) const { return file_of(name).tensor(name); }
std::vector<int64_t> Checkpoint::shape(const std::string& name) const { return file_of(name).shape(name); }
torch::ScalarType Checkpoint::dtype(const std::string& name) const { return file_of(name).dtype(name); }

torch::Tensor Checkpoint::tensor_as(const std::string& name, torch::ScalarType type) const {
  if (dtype(name) == type) return tensor(name);
  auto converted = torch::empty(shape(name), type);
  copy_to(name, converted);
  return converted;
}

void Checkpoint::copy_to(const std::string& name, const torch::Tensor& into) const {
  file_of(name).copy_to(name, into);
}

nlohmann::json Checkpoint::generation_config() const {
  const fs::path path = contents_->folder / kGenerationConfigFile;
  return fs::exists(path) ? parse_json_map(path) : nlohmann::json();
}

std::string Checkpoint::weights_sha256() const {
  const std::lock_guard lock(contents_->hash_lock);
  if (contents_->hash.empty()) {
    std::set<std::string> lines;
    for (const auto& [name, file] : contents_->files)
      lines.insert(sha256_file(file.path()) + "  " + name + "\n");
    const bool single = contents_->files.count(kWeightsFile) > 0;
    contents_->hash = single ? lines.begin()->substr(0, 64) : sha256(fmt::format("{}", fmt::join(lines, "")));
  }
  return contents_->hash;
}

}  // namespace attnlab
