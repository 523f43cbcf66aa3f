// A YAML tree that remembers where each value was written, so that an error found much later (after arms,
// sweeps and --set have been merged in) still names the file and line that the user must change.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attnlab {

struct Node {
  enum class Kind { null, scalar, list, map };
  struct Entry;
  Kind kind = Kind::null;
  std::string text;     // scalar: as written
  bool quoted = false;  // scalar: written in quotes, hence a string
  std::vector<Node> items;
  std::vector<Entry> entries;
  std::string file;  // path or option
  int64_t line = 0;  // of its key; of the value itself for list items and the root

  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  // The entry's node, appended if it is not there; a null node becomes a map.
  Node& entry(const std::string& key);
  // "'fast'", "a list", "a map" or "nothing", for error messages.
  std::string describe() const;
};

struct Node::Entry {
  std::string key;
  Node value;
};

// Parses a YAML file. Aliases are resolved; an empty file is a null node. Throws InputError with file and line
// on bad syntax, bytes that are not UTF-8, control characters, a key given twice or not plain, tags, a second
// document, and more than 64 levels or 1e6 values.
Node parse_yaml_file(const std::filesystem::path& path);
// Parses YAML text; `origin` stands for the file in errors.
Node parse_yaml(const std::string& text, const std::string& origin);

// A YAML file with what it includes: the key `include` of its root names a file, or a list of files, relative
// to its own folder. What an included file says lies below what comes later: maps are merged, all else is
// replaced, by the next file of the list and at last by the including file. Nodes keep the file and line where
// they stand. Throws InputError as parse_yaml_file, and at the line of `include` for files that are not there
// or include themselves.
Node parse_yaml_with_includes(const std::filesystem::path& path);
// The same; `files` becomes all files that were read, the including one before what it includes.
Node parse_yaml_with_includes(const std::filesystem::path& path, std::vector<std::filesystem::path>& files);

// The name of a list's item: its key `name`, else `task`; empty where it has none, or one with dots.
std::string name_of_item(const Node& item);

// Puts `value` at a dotted path ("train.lr", "arms.1.options.rank"; list items by number from 0, or by
// their names), creating maps on the way. Throws InputError if the path leads through a scalar or past a list's
// end, or is incomplete.
void set_path(Node& root, const std::string& path, const Node& value);
// "KEY=VALUE" of an option: the dotted path, and the value as a YAML node whose file is the option and which
// has no line. Throws InputError.
std::pair<std::string, Node> parse_setting(const std::string& option, const std::string& text);
// The node at a dotted path, or nullptr.
const Node* find_path(const Node& root, const std::string& path);
// Entries of `overlay` replace those of `base`; maps are merged (with an empty one too), all else is replaced.
void merge(Node& base, const Node& overlay);

}  // namespace attnlab
