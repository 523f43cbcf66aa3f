#include "checkpoint/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/errors.h"
#include "core/json.h"

namespace attnlab {
namespace {

constexpr std::string_view kModel = "model.", kEmbedding = "embed_tokens.weight";

constexpr std::array<std::string_view, 8> kAdapterParts{
    "lora_A",     "lora_B",          "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector",
    "base_layer", "modules_to_save", "original_module"};

// What training puts around a model or a part of it, and how to save what is inside.
struct Wrapper {
  std::string_view part;  // of a name
  const char* by;
  const char* expected;
};
constexpr std::array<Wrapper, 5> kWrappers{
    {{"_orig_mod", "torch.compile",
      "the model inside: save model._orig_mod with save_pretrained, or take that part off all names"},
     {"_fsdp_wrapped_module", "FSDP", "the whole state dict of the model inside, saved with save_pretrained"},
     {"_checkpoint_wrapped_module", "activation checkpointing",
      "the model inside, saved with save_pretrained, or names without that part"},
     {"module", "DataParallel or DistributedDataParallel",
      "the model inside: save model.module with save_pretrained, or take that part off all names"},
     {"base_model.model", "PEFT", "the model inside: merge_and_unload, then save_pretrained"}}};

// A part of a name, between dots or its ends; it may itself have dots.
bool has_part(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos; at = name.find(part, at + 1)) {
    const size_t end = at + part.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

[[noreturn]] void refuse_name(const std::filesystem::path& folder, const std::string& name,
                              const std::string& found, const std::string& expected) {
  throw InputError(
      BadInput{.file = folder.string(), .key = printable(name), .found = found, .expected = expected});
}

void refuse_adapter(const std::string& name, const std::filesystem::path& folder) {
  for (const std::string_view part : kAdapterParts)
    if (has_part(name, part))
      refuse_name(folder, name, "part of an adapter (PEFT) that is not merged",
                  "a whole model: merge it first (PEFT's merge_and_unload, then save_pretrained)");
}

// Parts that begin with an underscore are no part of a model, wherever they stand.
void refuse_wrapped(const std::string& name, const std::filesystem::path& folder) {
  for (const auto& wrapper : kWrappers)
    if (wrapper.part.starts_with('_') && has_part(name, wrapper.part))
      refuse_name(folder, name, fmt::format("'{}.', which {} puts into names", wrapper.part, wrapper.by),
                  wrapper.expected);
}

// What stands before the embedding's own name. A layer that predicts further tokens may have one, too; the
// model's own is the shortest.
std::string before_embedding(const std::vector<std::string>& names) {
  const std::string* embedding = nullptr;
  for (const auto& name : names)
    if (name.ends_with(kEmbedding) && (!embedding || name.size() < embedding->size())) embedding = &name;
  if (!embedding) return std::string(kModel);
  return embedding->substr(0, embedding->size() - kEmbedding.size());
}

void refuse_prefix(const std::string& prefix, const std::vector<std::string>& names,
                   const std::filesystem::path& folder) {
  const auto begins = [&](const std::string& name) { return name.starts_with(prefix); };
  if (prefix.empty() || !std::all_of(names.begin(), names.end(), begins)) return;
  for (const auto& wrapper : kWrappers)
    if (has_part(prefix, wrapper.part))
      refuse_name(folder, names.front(), fmt::format("'{}', which {} puts before names", prefix, wrapper.by),
                  wrapper.expected);
  refuse_name(folder, names.front(), fmt::format("'{}' before the names of all tensors", printable(prefix)),
              "the names that Hugging Face's save_pretrained gives the model inside");
}

// "model." in front of the parts of a base class.
std::string with_model(const std::string& name) {
  for (const std::string_view part : {"layers.", "embed_tokens.", "norm.", "rotary_emb."})
    if (name.starts_with(part)) return std::string(kModel) + name;
  return name;
}

}  // namespace

std::map<std::string, std::string> plain_names(const std::vector<std::string>& names,
                                               const std::filesystem::path& folder) {
  for (const auto& name : names) refuse_adapter(name, folder);
  for (const auto& name : names) refuse_wrapped(name, folder);
  std::string prefix = before_embedding(names);
  const bool whole = prefix == kModel || prefix.ends_with("." + std::string(kModel));  // has "model." itself
  if (whole) prefix.resize(prefix.size() - kModel.size());
  refuse_prefix(prefix, names, folder);
  const bool bare = !whole && prefix.empty();
  std::map<std::string, std::string> plain, back;
  for (const auto& name : names) {
    const auto [other, isnew] = back.emplace(bare ? with_model(name) : name, name);
    if (!isnew)
      refuse_name(folder, name, "a second name of the tensor " + printable(other->second), "each tensor once");
    plain.emplace(name, other->first);
  }
  return plain;
}

}  // namespace attnlab
