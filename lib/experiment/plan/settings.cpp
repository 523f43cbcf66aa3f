#include "experiment/plan/settings.h"

#include <algorithm>

#include "core/errors.h"
#include "experiment/plan/experiment_config.h"

namespace attnlab {
namespace {

// The map in which a path's last part is a key with dots, and that key; or no map.
struct DottedPlace {
  std::vector<std::string> map;
  std::string key;
};

DottedPlace dotted_place(const std::string& path) {
  const std::string sweep = "sweep.", sizes = "sizes.";
  if (path.starts_with(sweep)) return {{"sweep"}, path.substr(sweep.size())};
  const size_t end = path.find('.', sizes.size());
  if (!path.starts_with(sizes) || end == std::string::npos) return {};
  return {{"sizes", path.substr(sizes.size(), end - sizes.size())}, path.substr(end + 1)};
}

Node* map_at(Node& root, const std::vector<std::string>& path, const Node& value) {
  Node* map = &root;
  for (const auto& part : path) {
    const bool is_new = !map->find(part);
    map = &map->entry(part);
    if (is_new) {
      map->file = value.file;
      map->line = value.line;
    }
    if (map->kind != Node::Kind::map && map->kind != Node::Kind::null) return nullptr;
  }
  return map;
}

// Whether the two keys lie in one place, or `outer` is a map around `inner`.
bool is_within(const std::string& inner, const std::string& outer) {
  return inner == outer || inner.starts_with(outer + ".");
}

[[noreturn]] void refuse_swept(const Node& value, const std::string& key, const std::string& swept,
                               const std::string& expected) {
  throw InputError(BadInput{.file = value.file,
                            .line = value.line,
                            .key = key,
                            .found = value.describe() + ", which sweep." + swept + " overrides",
                            .expected = expected});
}

void refuse_settings(const Node& root, const std::string& swept, const std::vector<Setting>& settings) {
  const std::string key = with_arm_number(root, swept);
  for (const auto& [path, value] : settings) {
    const std::string place = with_arm_number(root, path);
    const bool around = is_within(key, place) && key != place;
    if (around ? find_path(value, key.substr(place.size() + 1)) != nullptr : is_within(place, key))
      refuse_swept(value, path, swept,
                   "sweep." + swept + " with that value alone (--set takes it), or no sweep of it");
  }
}

void refuse_arms(const Node& root, const std::string& swept) {
  if (swept.starts_with("arms.")) return;
  const Node* arms = root.find("arms");
  for (size_t i = 0; arms && i < arms->items.size(); ++i) {
    const Node& arm = arms->items[i];
    const Node* own = find_path(arm, swept);
    std::string key = swept;
    if (swept == "train.trainable" && arm.find("trainable")) {
      key = "trainable";
      own = arm.find(key);
    }
    if (!own || own->kind == Node::Kind::null) continue;
    const std::string name = name_of_item(arm).empty() ? std::to_string(i) : name_of_item(arm);
    const std::string place = "arms." + name + "." + key;
    refuse_swept(*own, place, swept, "sweep." + place + ", or no value of the arm's own");
  }
}

// One sweep in another's place: of the same key, of a map around it, or of what an arm has from all arms.
void refuse_sweeps(const Node& root, const Node& sweep, const std::string& swept) {
  const std::string key = with_arm_number(root, swept);
  for (const auto& [other, values] : sweep.entries) {
    const std::string place = with_arm_number(root, other);
    const bool of_arm = place.starts_with("arms.") && place != key;
    std::string in_arm = of_arm ? place.substr(std::min(place.find('.', 5), place.size() - 1) + 1) : "";
    if (in_arm == "trainable") in_arm = "train.trainable";
    if ((other != swept && is_within(place, key)) || (of_arm && is_within(in_arm, key)))
      refuse_swept(values, "sweep." + other, swept, "one of the two");
  }
}

}  // namespace

void set_key(Node& root, const Setting& setting) {
  const auto [map, key] = dotted_place(setting.path);
  if (!map.empty() && !key.empty())
    if (Node* place = map_at(root, map, setting.value)) {
      // An arm may be named in two ways.
      for (auto& entry : place->entries)
        if (with_arm_number(root, entry.key) == with_arm_number(root, key)) {
          entry.value = setting.value;
          return;
        }
      place->entry(key) = setting.value;
      return;
    }
  set_path(root, with_arm_number(root, setting.path), setting.value);
}

void refuse_overridden(const Node& root, const std::vector<Setting>& settings) {
  const Node* sweep = root.find("sweep");
  if (!sweep || sweep->kind != Node::Kind::map) return;
  for (const auto& [swept, values] : sweep->entries) {
    refuse_settings(root, swept, settings);
    refuse_arms(root, swept);
    refuse_sweeps(root, *sweep, swept);
    const Node* own = find_path(root, with_arm_number(root, swept));
    if (own && own->kind == Node::Kind::map) refuse_swept(*own, swept, swept, "one of the two");
  }
}

}  // namespace attnlab
