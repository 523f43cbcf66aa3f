#include "core/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

namespace attnlab {
namespace fs = std::filesystem;
namespace {

bool is_hub_name(const std::string& name) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
  const auto edge = [](char c) { return c == '.' || c == '-'; };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits) && !edge(name.front()) &&
         !edge(name.back());
}

fs::path from_environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

fs::path cache_folder() {
  if (const fs::path cache = from_environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const fs::path home = from_environment("HF_HOME"); !home.empty()) return home / "hub";
  const fs::path caches = from_environment("XDG_CACHE_HOME");
  return (caches.empty() ? from_environment("HOME") / ".cache" : caches) / "huggingface/hub";
}

}  // namespace

bool is_hub_id(const std::string& text) {
  const size_t slash = text.find('/');
  return slash != std::string::npos && is_hub_name(text.substr(0, slash)) &&
         is_hub_name(text.substr(slash + 1));
}

fs::path hub_folder(const std::string& id) {
  const size_t slash = id.find('/');
  return cache_folder() / ("models--" + id.substr(0, slash) + "--" + id.substr(slash + 1));
}

fs::path find_model_folder(const fs::path& path) {
  std::error_code unreadable;
  if (!is_hub_id(path.string()) || fs::exists(path, unreadable)) return path;
  const fs::path folder = hub_folder(path.string());
  std::ifstream in(folder / "refs/main");
  std::string revision;
  in >> revision;
  const fs::path snapshot = folder / "snapshots" / revision;
  return is_hub_name(revision) && fs::is_directory(snapshot, unreadable) ? snapshot : path;
}

}  // namespace attnlab
