#include "checkpoint/foreign_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_files.h"
#include "core/hub_cache.h"
#include "core/json.h"
#include "core/names.h"

namespace attnlab {

namespace fs = std::filesystem;

namespace {

struct Format {
  const char* begin;  // of the file's name
  const char* end;
  const char* what;
  const char* expected;
};

constexpr const char* kSave =
    "model.safetensors: load it with the software that wrote it and save it with save_pretrained of Hugging "
    "Face transformers";
constexpr const char* kMerge =
    "a whole model: merge the adapter into its base first (PEFT's merge_and_unload, then save_pretrained)";
constexpr const char* kMistral =
    "Hugging Face's names, in model.safetensors or its shards: download those files of the same model, or "
    "convert with transformers' convert_mistral_weights_to_hf.py";
constexpr const char* kMeta =
    "model.safetensors: download the model in Hugging Face's layout, or convert it with transformers' "
    "convert_llama_weights_to_hf.py";

// In order: the first that a folder has is named.
constexpr std::array<Format, 20> kFormats{
    {{"adapter_model", ".safetensors", "a LoRA adapter", kMerge},
     {"adapter_model", ".bin", "a LoRA adapter", kMerge},
     {"model-", ".safetensors", "a shard",
      "model.safetensors.index.json beside the shards: it says which file holds what"},
     {"consolidated", ".safetensors", "weights in Mistral's own format", kMistral},
     {"consolidated", ".pth", "weights in Meta's own format", kMeta},
     {"", ".gguf", "weights in llama.cpp's format GGUF",
      "model.safetensors: download the model that the GGUF was made from, in Hugging Face's layout"},
     {"pytorch_model", ".bin", "weights in PyTorch's format", kSave},
     {"pytorch_model", ".json", "an index of weights in PyTorch's format", kSave},
     {"tf_model", ".h5", "weights in TensorFlow's format", kSave},
     {"flax_model", ".msgpack", "weights in Flax's format", kSave},
     {"", ".safetensors", "weights under another name",
      "model.safetensors: give the file that name if its tensors are named as Hugging Face's are"},
     {"", ".bin", "weights in PyTorch's format", kSave},
     {"", ".pth", "weights in PyTorch's format", kSave},
     {"", ".pt", "weights in PyTorch's format", kSave},
     {"", ".ckpt", "weights in PyTorch's or TensorFlow's format", kSave},
     {"", ".h5", "weights in TensorFlow's format", kSave},
     {"", ".msgpack", "weights in Flax's format", kSave},
     {"", ".distcp", "weights in the format of PyTorch's distributed checkpoints", kSave},
     {"", ".onnx", "a graph in ONNX's format", kSave},
     {"", ".npz", "weights in NumPy's format", kSave}}};

const Format* format_of(const std::string& name) {
  const auto* found = std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& format) {
    return name.starts_with(format.begin) && name.ends_with(format.end);
  });
  return found == kFormats.end() ? nullptr : found;
}

// Names of its files, sorted.
std::vector<std::string> files_of(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable))
    if (!entry.is_directory(unreadable)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

BadInput no_weights_problem(const fs::path& folder) {
  const Format* best = nullptr;
  std::string file;
  for (const auto& name : files_of(folder)) {
    const Format* format = format_of(name);
    if (!format || (best && best <= format)) continue;
    best = format;
    file = name;
  }
  if (!best)
    return {.file = folder.string(),
            .found = kNoWeights,
            .expected = fmt::format("{} or {}", kWeightsFile, kIndexFile)};
  return {.file = folder.string(),
          .found = fmt::format("{} ({}) and no {}", best->what, printable(file), kWeightsFile),
          .expected = best->expected};
}

// The folder beside it whose name a slip may have missed; "": none.
std::string nearest_folder(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code none;
  const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
  for (const auto& entry : fs::directory_iterator(parent, none))
    if (entry.is_directory(none)) names.push_back(printable(entry.path().filename().string()));
  std::sort(names.begin(), names.end());
  const std::string nearest = nearest_name(path.filename().string(), names);
  return nearest.empty() ? "" : (path.parent_path() / nearest).string();
}

BadInput no_folder_problem(const fs::path& path) {
  const bool there = fs::exists(path);
  const Format* format = there ? format_of(path.filename().string()) : nullptr;
  const std::string nearest = there ? "" : nearest_folder(path);
  if (!there && is_hub_id(path.string()))
    return {
        .file = path.string(),
        .found = "no folder, and no " + hub_folder(path.string()).string(),
        .expected = fmt::format(
            "a model folder, or a hub id in the hub's cache: `hf download {}` puts it there", path.string()),
        .nearest = nearest};
  return {.file = path.string(),
          .found = !there   ? "nothing there"
                   : format ? fmt::format("a file: {}", format->what)
                            : "a file",
          .expected = "a model folder with config.json and model.safetensors",
          .nearest = nearest};
}

}  // namespace attnlab
