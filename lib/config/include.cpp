#include <algorithm>

#include "config/node.h"
#include "core/errors.h"
#include "core/names.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* kInclude = "include";

// Files within files.
class Includer {
 public:
  explicit Includer(std::vector<fs::path>& files) : files_(files) {}

  Node read(const fs::path& path) {
    files_.push_back(path);
    Node own = parse_yaml_file(path);
    if (!own.find(kInclude)) return own;
    open_.push_back(path);
    Node whole{.file = own.file, .line = own.line};
    const Node named = take_include(own);
    for (const Node& one : named.kind == Node::Kind::list ? named.items : std::vector<Node>{named})
      lay_over(whole, read(find(one, path)));
    lay_over(whole, own);
    open_.pop_back();
    return whole;
  }

 private:
  [[noreturn]] static void refuse(const Node& at, std::string found, std::string expected) {
    throw InputError({.file = at.file,
                      .line = at.line,
                      .key = kInclude,
                      .found = std::move(found),
                      .expected = std::move(expected)});
  }

  static Node take_include(Node& root) {
    const auto place = std::find_if(root.entries.begin(), root.entries.end(),
                                    [](const Node::Entry& entry) { return entry.key == kInclude; });
    Node named = std::move(place->value);
    root.entries.erase(place);
    return named;
  }

  static void lay_over(Node& whole, const Node& upper) {
    if (upper.kind == Node::Kind::null) return;
    if (upper.kind != Node::Kind::map)
      throw InputError(
          {.file = upper.file, .line = upper.line, .found = upper.describe(), .expected = "a map of keys"});
    whole.kind = Node::Kind::map;
    merge(whole, upper);
  }

  fs::path find(const Node& named, const fs::path& includer) const {
    if (named.kind != Node::Kind::scalar || named.text.empty())
      refuse(named, named.describe(), "a file, or a list of files");
    const fs::path path = includer.parent_path() / named.text;
    std::error_code unreadable;
    if (!fs::is_regular_file(path, unreadable))
      refuse(named, named.describe() + ", and no file " + path.string(),
             "a file, relative to the one that includes it");
    const auto same = [&](const fs::path& other) { return fs::equivalent(path, other, unreadable); };
    const auto first = std::find_if(open_.begin(), open_.end(), same);
    if (first == open_.end()) return path;
    std::vector<std::string> circle;
    for (auto file = first; file != open_.end(); ++file) circle.push_back(file->string());
    refuse(named, named.describe() + ", which includes itself (" + join(circle, " includes ") + ")",
           "a file that does not");
  }

  std::vector<fs::path>& files_;
  std::vector<fs::path> open_;  // from the outermost to the one that is being read
};

}  // namespace

Node parse_yaml_with_includes(const fs::path& path, std::vector<fs::path>& files) {
  return Includer(files).read(path);
}

Node parse_yaml_with_includes(const fs::path& path) {
  std::vector<fs::path> files;
  return parse_yaml_with_includes(path, files);
}

}  // namespace attnlab
