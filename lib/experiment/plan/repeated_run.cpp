#include "experiment/plan/repeated_run.h"

#include <fmt/format.h>

#include <fstream>
#include <map>

#include "results/archive.h"
#include "results/run_reader.h"

namespace attnlab {
namespace {

bool is_hdf5(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char signature[8] = {};
  in.read(signature, sizeof signature);
  return in && std::string_view(signature, sizeof signature) == "\x89HDF\r\n\x1a\n";
}

Node list_of(Node item) {
  Node list{.kind = Node::Kind::list, .file = item.file, .line = item.line};
  list.items.push_back(std::move(item));
  return list;
}

// The tree of a run → that of a config.
Node config_of(const Node& run) {
  Node config{.kind = Node::Kind::map, .file = run.file, .line = run.line};
  for (const auto& [key, value] : run.entries) {
    if (key == "lr_selection" || key == "purpose") continue;  // train.lr is the rate that was taken
    if (key == "arm" || key == "seed") {
      config.entries.push_back({key + "s", list_of(value)});
    } else {
      config.entries.push_back({key, value});
    }
  }
  return config;
}

}  // namespace

void gather_lists(Node& map) {
  std::vector<Node::Entry> entries;
  for (auto& [key, value] : map.entries) {
    gather_lists(value);
    const size_t bracket = key.ends_with(']') ? key.find('[') : std::string::npos;
    if (bracket == std::string::npos) {
      entries.push_back({key, std::move(value)});
      continue;
    }
    const std::string name = key.substr(0, bracket);
    if (entries.empty() || entries.back().key != name)
      entries.push_back({name, Node{.kind = Node::Kind::list, .file = value.file, .line = value.line}});
    entries.back().value.items.push_back(std::move(value));
  }
  map.entries = std::move(entries);
  for (auto& item : map.items) gather_lists(item);
}

std::optional<RepeatedRun> read_repeated_run(const std::filesystem::path& path) {
  if (!is_hdf5(path) && !place_in_archive(path)) return std::nullopt;
  RunHeader header = read_run_header(path).header;
  Node run = parse_yaml(header.resolved_yaml, path.string() + " (resolved_yaml)");
  gather_lists(run);
  return RepeatedRun{.config = config_of(run),
                     .sweep_point = std::move(header.sweep_point),
                     .provenance = std::move(header.provenance)};
}

std::vector<std::string> changed_inputs(const FlatFields& before, const FlatFields& now) {
  const std::map<std::string, FieldValue> known(now.begin(), now.end());
  std::vector<std::string> lines;
  for (const auto& [key, value] : before) {
    if (!key.ends_with("_sha256")) continue;
    const auto found = known.find(key);
    if (found != known.end() && found->second != value)
      lines.push_back(fmt::format("{} is another than that of the run which is repeated", key));
  }
  return lines;
}

}  // namespace attnlab
