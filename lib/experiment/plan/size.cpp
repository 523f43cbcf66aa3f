#include "experiment/plan/size.h"

#include <algorithm>

#include "core/errors.h"
#include "core/names.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse_size(const Node& at, const std::string& key, const std::string& found,
                              const std::string& expected, const std::string& nearest = "") {
  throw InputError(BadInput{at.file, at.line, key, found, expected, nearest});
}

Node take(Node& map, const std::string& key) {
  Node taken;
  const auto place =
      std::find_if(map.entries.begin(), map.entries.end(), [&](const auto& entry) { return entry.key == key; });
  if (place == map.entries.end()) return taken;
  taken = std::move(place->value);
  map.entries.erase(place);
  return taken;
}

// A key may change anything but what sizes are.
void check_keys(const std::string& size, const Node& values, const std::vector<std::string>& top_keys) {
  const std::string prefix = "sizes." + size;
  if (values.kind != Node::Kind::map)
    refuse_size(values, prefix, values.describe(), "a map from dotted keys to values");
  for (const auto& [key, value] : values.entries) {
    const std::string top = key.substr(0, key.find('.'));
    if (top == "size" || top == "sizes" || std::count(top_keys.begin(), top_keys.end(), top) == 0)
      refuse_size(value, prefix + "." + key, "an unknown key", "a key of the config, dotted",
                  nearest_name(top, top_keys));
  }
}

}  // namespace

std::vector<Setting> apply_size(Node& root, const std::vector<std::string>& top_keys) {
  const Node sizes = take(root, "sizes"), size = take(root, "size");
  if (sizes.kind == Node::Kind::null && size.kind == Node::Kind::null) return {};
  if (sizes.kind != Node::Kind::map || sizes.entries.empty())
    refuse_size(sizes.kind == Node::Kind::null ? size : sizes, "sizes", sizes.describe(),
                "a map from names of sizes to maps of dotted keys");
  std::vector<std::string> names;
  for (const auto& [name, values] : sizes.entries) {
    check_keys(name, values, top_keys);
    names.push_back(name);
  }
  if (size.kind == Node::Kind::null) return {};
  const Node* chosen = sizes.find(size.text);
  if (!chosen)
    refuse_size(size, "size", size.describe(), one_of(names, size.text), nearest_name(size.text, names));
  std::vector<Setting> settings;
  for (const auto& [key, value] : chosen->entries) {
    settings.push_back({key, value});
    set_key(root, settings.back());
  }
  return settings;
}

}  // namespace attnlab
