#include "checkpoint/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/checkpoint_files.h"
#include "checkpoint/foreign_weights.h"
#include "checkpoint/tensor_names.h"
#include "core/add_once.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/hub_cache.h"
#include "core/json.h"

namespace attnlab {

namespace fs = std::filesystem;

struct Checkpoint::Place {
  const SafetensorsFile* file;
  std::string name;  // in the file
};

struct Checkpoint::Contents {
  fs::path folder;
  nlohmann::json config;
  std::map<std::string, SafetensorsFile> files;  // file name → file
  std::map<std::string, Place> places;           // plain name → where it is
  std::vector<IndexFault> faults;
  mutable std::mutex lock;  // of what follows
  mutable std::vector<std::string> notes;
  mutable std::map<std::pair<std::string, std::string>, bool> compared;
  mutable std::string hash;
};

namespace {

// By the names that the files have.
struct Weights {
  std::map<std::string, SafetensorsFile> files;
  std::map<std::string, const SafetensorsFile*> places;
  std::vector<IndexFault> faults;
};

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

// Tensors of a shard that the index doesn't name, or puts into another one.
void find_more(const fs::path& index, const std::string& name, const SafetensorsFile& file, Weights& out) {
  for (const auto& tensor : file.names()) {
    const auto [place, unnamed] = out.places.emplace(tensor, &file);
    if (place->second == &file && !unnamed) continue;
    BadInput problem{.file = file.path().string(), .key = printable(tensor)};
    problem.found = unnamed ? "a tensor that " + index.filename().string() + " doesn't name"
                            : "a tensor that is in " + place->second->path().filename().string() + " too";
    problem.expected = unnamed ? "only those that it puts into " + name
                               : "only those that " + index.filename().string() + " puts into " + name;
    out.faults.push_back({tensor, problem});
  }
}

nlohmann::json read_weight_map(const fs::path& index) {
  const auto root = parse_json_map(index);
  const auto map = root.find("weight_map");
  if (map != root.end() && map->is_object()) return *map;
  throw InputError({.file = index.string(),
                    .key = "weight_map",
                    .found = map == root.end() ? "nothing" : std::string("a JSON ") + map->type_name(),
                    .expected = "a map from tensor to file"});
}

void open_shards(const fs::path& folder, Weights& out) {
  const fs::path index = folder / kIndexFile;
  const auto map = read_weight_map(index);
  for (const auto& [tensor, value] : map.items()) {
    const auto& name = shard_name(index, tensor, value);
    if (!out.files.count(name)) {
      need_file(folder, name, printable("weight_map." + tensor), index);
      out.files.emplace(name, SafetensorsFile::open(folder / name));
    }
    const SafetensorsFile& file = out.files.at(name);
    if (file.has(tensor)) {
      out.places.emplace(tensor, &file);
      continue;
    }
    out.faults.push_back({tensor,
                          {.file = index.string(),
                           .key = printable("weight_map." + tensor),
                           .found = "no such tensor in " + name,
                           .expected = "a tensor of that file",
                           .nearest = nearest_printable(tensor, file.names())}});
  }
  for (const auto& [name, file] : out.files) find_more(index, name, file, out);
}

Weights open_weights(const fs::path& folder) {
  Weights out;
  if (fs::exists(folder / kWeightsFile)) {
    const auto& file =
        out.files.emplace(kWeightsFile, SafetensorsFile::open(folder / kWeightsFile)).first->second;
    for (const auto& name : file.names()) out.places.emplace(name, &file);
  } else if (fs::exists(folder / kIndexFile)) {
    open_shards(folder, out);
  } else {
    throw InputError(no_weights_problem(folder));
  }
  return out;
}

// Of every tensor that a file has or an index names.
std::map<std::string, std::string> plain_names_of(const Weights& weights, const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& [name, file] : weights.places) names.insert(name);
  for (const auto& fault : weights.faults) names.insert(fault.tensor);
  return plain_names({names.begin(), names.end()}, folder);
}

// Files that another reader would take instead, or beside what is read.
std::vector<std::string> notes_of(const fs::path& folder) {
  std::vector<std::string> notes;
  if (fs::exists(folder / kWeightsFile) && fs::exists(folder / kIndexFile))
    notes.push_back(
        fmt::format("{}: {} is read; {} beside it is not", folder.string(), kWeightsFile, kIndexFile));
  if (fs::exists(folder / kAdapterFile))
    notes.push_back(fmt::format("{}: the adapter of {} is not applied", folder.string(), kAdapterFile));
  return notes;
}

// A folder that holds no weights that are read here says so before it misses a config.json.
void need_config(const fs::path& folder) {
  if (!fs::exists(folder / kConfigFile) && !fs::exists(folder / kWeightsFile) &&
      !fs::exists(folder / kIndexFile))
    if (const BadInput problem = no_weights_problem(folder); problem.found != kNoWeights)
      throw InputError(problem);
  need_file(folder, kConfigFile, "", folder);
}

constexpr int64_t kComparedNumbers = 1 << 20;

// As numbers, in blocks; equal types by their bytes.
bool equal_numbers(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.sizes() != b.sizes()) return false;
  const auto x = a.reshape(-1), y = b.reshape(-1);
  for (int64_t begin = 0; begin < x.numel(); begin += kComparedNumbers) {
    const int64_t n = std::min(kComparedNumbers, x.numel() - begin);
    auto left = x.narrow(0, begin, n), right = y.narrow(0, begin, n);
    if (a.scalar_type() != b.scalar_type()) {
      left = left.to(torch::kFloat64);
      right = right.to(torch::kFloat64);
    }
    if (std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()) != 0) return false;
  }
  return true;
}

}  // namespace

Checkpoint::Checkpoint(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}

Checkpoint Checkpoint::open(const fs::path& named) {
  const fs::path folder = find_model_folder(named);
  if (!fs::is_directory(folder)) throw InputError(no_folder_problem(named));
  need_config(folder);
  auto contents = std::make_shared<Contents>();
  contents->folder = folder;
  contents->config = parse_json_map(folder / kConfigFile);
  Weights weights = open_weights(folder);
  contents->notes = notes_of(folder);
  const auto names = plain_names_of(weights, folder);
  for (const auto& [name, file] : weights.places) contents->places.emplace(names.at(name), Place{file, name});
  for (auto& fault : weights.faults) fault.tensor = names.at(fault.tensor);
  contents->faults = std::move(weights.faults);
  contents->files = std::move(weights.files);  // a map's nodes stay where they are
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

const Checkpoint::Place& Checkpoint::place_of(const std::string& name) const {
  const auto place = contents_->places.find(name);
  if (place == contents_->places.end())
    throw InputError({.file = contents_->folder.string(),
                      .key = printable(name),
                      .found = "no such tensor",
                      .expected = fmt::format("one of the checkpoint's {}", contents_->places.size()),
                      .nearest = nearest_printable(name, names())});
  return place->second;
}

torch::Tensor Checkpoint::tensor(const std::string& name) const {
  const auto& [file, own] = place_of(name);
  return file->tensor(own);
}
std::vector<int64_t> Checkpoint::shape(const std::string& name) const {
  const auto& [file, own] = place_of(name);
  return file->shape(own);
}
torch::ScalarType Checkpoint::dtype(const std::string& name) const {
  const auto& [file, own] = place_of(name);
  return file->dtype(own);
}

torch::Tensor Checkpoint::tensor_as(const std::string& name, torch::ScalarType type) const {
  if (dtype(name) == type) return tensor(name);
  auto converted = torch::empty(shape(name), type);
  copy_to(name, converted);
  return converted;
}

void Checkpoint::copy_to(const std::string& name, const torch::Tensor& into) const {
  const auto& [file, own] = place_of(name);
  file->copy_to(own, into);
}

const std::vector<IndexFault>& Checkpoint::index_faults() const { return contents_->faults; }

bool Checkpoint::same_numbers(const std::string& a, const std::string& b) const {
  const std::lock_guard lock(contents_->lock);
  const auto [known, isnew] = contents_->compared.try_emplace({a, b}, false);
  if (isnew) known->second = equal_numbers(tensor(a), tensor(b));
  return known->second;
}

std::vector<std::string> Checkpoint::notes() const {
  const std::lock_guard lock(contents_->lock);
  return contents_->notes;
}

void Checkpoint::note(const std::string& text) const {
  const std::lock_guard lock(contents_->lock);
  add_once(contents_->notes, text);
}

nlohmann::json Checkpoint::generation_config() const {
  const fs::path path = contents_->folder / kGenerationConfigFile;
  return fs::exists(path) ? parse_json_map(path) : nlohmann::json();
}

std::string Checkpoint::weights_sha256() const {
  const std::lock_guard lock(contents_->lock);
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
