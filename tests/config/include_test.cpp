// Files within files: which value holds, where it says it stands, and what is refused.
#include "catch.h"
#include "config/node.h"
#include "core/errors.h"
#include "core/files.h"

using namespace attnlab;

namespace {

namespace fs = std::filesystem;

struct Files {
  test::TemporaryFolder folder;
  fs::path write(const std::string& name, const std::string& text) const {
    write_file_atomic(folder.path() / name, text);
    return folder.path() / name;
  }
  std::string refusal(const std::string& name) const {
    try {
      parse_yaml_with_includes(folder.path() / name);
      return "accepted";
    } catch (const InputError& error) {
      return error.what();
    }
  }
};

std::string told_at(const Node& root, const std::string& path) {
  const Node* node = find_path(root, path);
  return node ? node->describe() : "";
}

TEST_CASE("what is included lies below: maps are merged, all else is replaced") {
  const Files files;
  files.write("shared/base.yaml", "train: {lr: 1, steps: 2}\nseeds: [0, 1]\nonly: here\n");
  const auto path = files.write("exp.yaml", "train:\n  lr: 3\ninclude: shared/base.yaml\nseeds: [7]\n");
  std::vector<fs::path> read;
  const Node root = parse_yaml_with_includes(path, read);
  CHECK(told_at(root, "train.lr") == "'3'");
  CHECK(told_at(root, "train.steps") == "'2'");
  CHECK(told_at(root, "only") == "'here'");
  CHECK(root.find("seeds")->items.size() == 1);
  CHECK(root.find("include") == nullptr);
  CHECK(read == std::vector<fs::path>{path, files.folder.path() / "shared/base.yaml"});
  CHECK(root.file == path.string());
  CHECK(find_path(root, "train.lr")->file == path.string());
  CHECK(find_path(root, "train.lr")->line == 2);
  CHECK(find_path(root, "train.steps")->file == (files.folder.path() / "shared/base.yaml").string());
  CHECK(find_path(root, "train.steps")->line == 1);
}

TEST_CASE("of several files the later one holds, and a file may include others, relative to itself") {
  const Files files;
  files.write("a/one.yaml", "include: two.yaml\nx: one\n");
  files.write("a/two.yaml", "x: two\ny: two\nz: two\n");
  files.write("three.yaml", "include: a/two.yaml\ny: three\n");
  const Node root = parse_yaml_with_includes(files.write("exp.yaml", "include: [a/one.yaml, three.yaml]\n"));
  CHECK(told_at(root, "x") == "'two'");  // three.yaml has two.yaml's below its own
  CHECK(told_at(root, "y") == "'three'");
  CHECK(told_at(root, "z") == "'two'");
}

TEST_CASE("files that are missing, include themselves or are no maps are refused where they are named") {
  const Files files;
  files.write("missing.yaml", "a: 1\ninclude: nowhere.yaml\n");
  CHECK_THAT(files.refusal("missing.yaml"),
             ContainsSubstring("missing.yaml:2: include: found 'nowhere.yaml', and no file ") &&
                 ContainsSubstring("relative to the one that includes it"));
  files.write("self.yaml", "include: ./self.yaml\n");
  CHECK_THAT(files.refusal("self.yaml"), ContainsSubstring("self.yaml:1: include: found './self.yaml', which "
                                                           "includes itself"));
  files.write("there.yaml", "\ninclude: back.yaml\n");
  files.write("back.yaml", "\n\ninclude: there.yaml\n");
  CHECK_THAT(files.refusal("there.yaml"),
             ContainsSubstring("back.yaml:3: include: found 'there.yaml', which") &&
                 ContainsSubstring("there.yaml includes "));
  files.write("list.yaml", "- 1\n");
  files.write("of_list.yaml", "include: list.yaml\n");
  CHECK_THAT(files.refusal("of_list.yaml"), ContainsSubstring("list.yaml:1: found a list, expected a map"));
  files.write("map.yaml", "include: {a: b}\n");
  CHECK_THAT(files.refusal("map.yaml"), ContainsSubstring("map.yaml:1: include: found a map, expected a file"));
  files.write("broken.yaml", "a: [1\n");
  files.write("of_broken.yaml", "include: broken.yaml\n");
  CHECK_THAT(files.refusal("of_broken.yaml"), ContainsSubstring("broken.yaml:1: "));
}

}  // namespace
