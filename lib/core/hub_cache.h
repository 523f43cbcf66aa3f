// Models that Hugging Face's tools have downloaded to this machine. Nothing is fetched.
#pragma once

#include <filesystem>
#include <string>

namespace attnlab {

// Whether the text has the form of a model's id on the hub, "Qwen/Qwen2.5-0.5B": two names of letters, digits,
// '-', '_' and '.', none of which starts or ends in '.' or '-'.
bool is_hub_id(const std::string& text);

// Where the hub's cache keeps a model: CACHE/models--ORG--NAME. CACHE is $HF_HUB_CACHE, else $HF_HOME/hub, else
// $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub, as in huggingface_hub.
std::filesystem::path hub_folder(const std::string& id);

// The folder of a model: the path itself if something is there, or if it is no id. Else the snapshot of the
// id's revision `main` (the commit that refs/main names), if the cache has it, else the path.
std::filesystem::path find_model_folder(const std::filesystem::path& path);

}  // namespace attnlab
