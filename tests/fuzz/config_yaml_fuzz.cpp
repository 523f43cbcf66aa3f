// Bytes as YAML: refused with InputError, or a tree that can be walked, changed and read as configs. What is
// read can be written and read again.
#include <cstdint>
#include <string>
#include <vector>

#include "compare/claims_config.h"
#include "config/document.h"
#include "config/node.h"
#include "data/data_config.h"
#include "fuzz_file.h"

using namespace attnlab;

namespace {

void walk(const Node& node, int64_t lines) {
  ATTNLAB_CHECK(node.line >= 0 && node.line <= lines);
  ATTNLAB_CHECK(node.kind == Node::Kind::list || node.items.empty());
  ATTNLAB_CHECK(node.kind == Node::Kind::map || node.entries.empty());
  ATTNLAB_CHECK(node.describe().find('\n') == std::string::npos);
  for (const Node& item : node.items) walk(item, lines);
  for (const auto& [key, value] : node.entries) {
    ATTNLAB_CHECK(node.find(key) == &value);
    walk(value, lines);
  }
}

// Written and read again: the same leaves.
void write_and_read(const DataConfig& config) {
  const FlatFields fields = flatten(config, "data.");
  const Node root = parse_yaml(to_yaml(fields), "written");
  if (!config.mixture.empty()) return;  // its parts are written for people
  const auto again = read_config<DataConfig>(*root.find("data"), "data");
  ATTNLAB_CHECK(flatten(again, "data.") == fields);
}

void change(const Node& root) {
  const Node value{.kind = Node::Kind::scalar, .text = "1", .file = "--set"};
  for (const char* path : {"train.lr", "arms.0.options.rank", "a.b.c", "0", "data..path"})
    read_or_refuse([&] {
      Node changed = root;
      set_path(changed, path, value);
      const Node* found = find_path(changed, path);
      ATTNLAB_CHECK(found && found->text == "1");
      merge(changed, root);
      Node replaced = value;
      merge(replaced, changed);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(as_text(data, size));
  Node root;
  read_or_refuse([&] {
    root = parse_yaml(text, "file.yaml");
    walk(root, 1 + std::count(text.begin(), text.end(), '\n'));
    change(root);
  });
  read_or_refuse([&] { parse_setting("--set", text); });
  read_or_refuse([&] {
    const Node* section = root.find("data");
    if (section) write_and_read(read_config<DataConfig>(*section, "data"));
  });
  const MemoryFile file(text);
  read_or_refuse([&] { read_claims(file.path()); });
  return 0;
}
