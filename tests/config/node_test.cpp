// The YAML tree: lines, rejections, overrides and merging.
#include "config/node.h"

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/random.h"

using namespace attnlab;

namespace {

std::string refusal(const std::string& yaml) {
  try {
    parse_yaml(yaml, "x.yaml");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

void check_refused(const std::string& yaml, const std::string& begin, const std::string& text) {
  const std::string message = refusal(yaml);
  INFO(yaml.substr(0, 200));
  CHECK_THAT(message, ContainsSubstring(begin));
  CHECK_THAT(message, ContainsSubstring(text));
  CHECK(message.find('\n') == std::string::npos);
}

Node scalar(const std::string& text) { return parse_yaml(text, "--set"); }

std::string text_at(const Node& root, const std::string& path) {
  const Node* node = find_path(root, path);
  return node ? node->describe() : "absent";
}

}  // namespace

TEST_CASE("a tree remembers the line of each key and of each list item") {
  const Node root = parse_yaml("# comment\na: 1\nb:\n  c: two\n  d:\ne:\n  - 3\n  - f: 4\n", "x.yaml");
  CHECK(root.file == "x.yaml");
  const auto line = [&](const std::string& path) { return find_path(root, path)->line; };
  CHECK(line("a") == 2);
  CHECK(line("b") == 3);
  CHECK(line("b.c") == 4);
  CHECK(line("b.d") == 5);
  CHECK(line("e") == 6);
  CHECK(line("e.0") == 7);
  CHECK(line("e.1.f") == 8);
  CHECK(find_path(parse_yaml("a:\n  - 1\n  - ", "x.yaml"), "a.1")->line == 3);  // none behind the end
}

TEST_CASE("kinds are told apart: nothing, text, list and map") {
  const Node root = parse_yaml("a:\nb: ~\nc: 'null'\nd: \"1\"\ne: []\nf: {}\ng: |\n  x\n  y\n", "x.yaml");
  CHECK(text_at(root, "a") == "nothing");
  CHECK(text_at(root, "b") == "nothing");
  CHECK(text_at(root, "c") == "'null'");
  CHECK(text_at(root, "e") == "a list");
  CHECK(text_at(root, "f") == "a map");
  CHECK(root.find("d")->quoted);
  CHECK(root.find("g")->quoted);
  CHECK(root.find("g")->text == "x\ny\n");
  CHECK(text_at(root, "g") == "'x y '");  // one line in a message
  CHECK(parse_yaml("plain", "--set").text == "plain");
}

TEST_CASE("an empty document is a null node") {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "~"})
    CHECK(parse_yaml(text, "x.yaml").kind == Node::Kind::null);
}

TEST_CASE("bad syntax is refused with its line") {
  check_refused("a: 1\nb: [1, 2\n", "x.yaml:2: found", "expected valid YAML");
  check_refused("a: 1\n\tb: 2\n", "x.yaml:2: found", "expected valid YAML");
  for (const char* text : {"a: 1\nb: 'open", "a: 1\nb: 'open\n", "a: 1\nb: \"open\n"})
    check_refused(text, "x.yaml:2: found the end of the text in a quoted value", "its closing quote");
  check_refused("a: 1\n b: 2\n", "x.yaml:2: found", "expected valid YAML");
  check_refused("a: *nowhere\n", "x.yaml:1: found", "expected valid YAML");
}

TEST_CASE("a key that stands twice is refused with the line of the second one") {
  check_refused("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: found the key twice", "each key once");
  check_refused("m:\n  k: 1\n  k: 1\n", "x.yaml:3: k: found the key twice", "");
  check_refused("{a: 1, 'a': 2}", "x.yaml:1: a: found the key twice", "");
}

TEST_CASE("a key that is no plain text is refused") {
  check_refused("a: 1\n? [x, y]\n: 2\n", "x.yaml:2: found a key that is empty, a list or a map", "a plain key");
  check_refused("{x: 1}: 2\n", "x.yaml:1: found a key that is", "");
  check_refused("\"a\\nb\": 2\n", "x.yaml:1: found a key with line breaks", "a plain key");
  check_refused("~: 2\n", "x.yaml:1: found a key that is", "");
}

TEST_CASE("a number or a word such as true is a key like any other") {
  const Node root = parse_yaml("1: a\ntrue: b\n", "x.yaml");
  CHECK(root.find("1")->text == "a");
  CHECK(root.find("true")->text == "b");
}

TEST_CASE("what no value begins with is refused") {
  check_refused(",all", "x.yaml:1: found a sign that no value begins with", "valid YAML");
  check_refused("\n, a", "x.yaml:2: found a sign", "valid YAML");
}

TEST_CASE("bytes that are no text are refused with their line") {
  check_refused("a: 1\nb: \xFFx\n", "x.yaml:2: found a byte that is not UTF-8", "valid YAML");
  check_refused("a: 1\nb: 2\x04\nc: 3\n", "x.yaml:2: found a control character", "valid YAML");
  check_refused(std::string("a: \0", 4), "x.yaml:1: found a control character", "valid YAML");
  check_refused(
      "\xFF\xFE"
      "a",
      "x.yaml:1: found UTF-16 text", "UTF-8");
  CHECK(text_at(parse_yaml("\xEF\xBB\xBF"
                           "a:\t'é'\r\n",
                           "x.yaml"),
                "a") == "'é'");
}

TEST_CASE("tags and a second document are refused") {
  check_refused("a: !!python/object x\n", "x.yaml:1: found the tag", "without a tag");
  check_refused("a: 1\n---\na: 2\n", "x.yaml:2: found a second document", "one document");
}

TEST_CASE("aliases stand for what they point to, with the line of the key that uses them") {
  const Node root = parse_yaml("base: &b\n  lr: 1\nother: *b\n", "x.yaml");
  CHECK(text_at(root, "other.lr") == "'1'");
  CHECK(root.find("other")->line == 3);
}

TEST_CASE("aliases that grow without bound are refused") {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += before + (j < 9 ? ", " : "]\n");
  }
  check_refused(text, "x.yaml:", "at most 1000000 values");
  check_refused("a: &a [*a]\n", "x.yaml:", "at most 64 levels");
}

TEST_CASE("very deep nesting is refused in every style") {
  check_refused("a: " + std::string(100, '[') + std::string(100, ']'), "x.yaml:1", "at most 64 levels");
  std::string block, dashes;
  for (int i = 0; i < 3000; ++i) block += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  for (int i = 0; i < 3000; ++i) dashes += "- ";
  for (const auto& text : {std::string(20'000, '['), std::string(20'000, '{'), block, dashes})
    CHECK_THAT(refusal(text), ContainsSubstring("x.yaml:"));
}

TEST_CASE("a file is named by its path, also where it is missing") {
  test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "exp.yaml", "a: 1\na: 2\n");
  CHECK_THROWS_WITH(parse_yaml_file(folder.path() / "exp.yaml"), ContainsSubstring("exp.yaml:2: a: found"));
  CHECK_THROWS_AS(parse_yaml_file(folder.path() / "none.yaml"), InputError);
}

TEST_CASE("a path sets what is there, and creates maps on the way") {
  Node root = parse_yaml("train:\n  lr: 1\narms:\n  - name: a\n  - name: b\nempty:\n", "x.yaml");
  set_path(root, "train.lr", scalar("2"));
  set_path(root, "train.decay.kind", scalar("cosine"));
  set_path(root, "arms.1.name", scalar("c"));
  set_path(root, "arms.0.options.rank", scalar("[1, 2]"));
  set_path(root, "empty.x", scalar("3"));
  set_path(root, "new", scalar("{y: 4}"));
  CHECK(text_at(root, "train.lr") == "'2'");
  CHECK(root.find("train")->find("lr")->file == "--set");
  CHECK(text_at(root, "train.decay.kind") == "'cosine'");
  CHECK(text_at(root, "arms.0.name") == "'a'");
  CHECK(text_at(root, "arms.1.name") == "'c'");
  CHECK(text_at(root, "arms.0.options.rank.1") == "'2'");
  set_path(root, "arms.c.name", scalar("d"));
  CHECK(text_at(root, "arms.1.name") == "'d'");
  CHECK(text_at(root, "empty.x") == "'3'");
  CHECK(text_at(root, "new.y") == "'4'");
  Node nothing = parse_yaml("", "x.yaml");
  set_path(nothing, "a.b", scalar("1"));
  CHECK(text_at(nothing, "a.b") == "'1'");
}

TEST_CASE("a path that leads nowhere is refused and changes nothing") {
  const Node root = parse_yaml("lr: 1\narms:\n  - name: a\n", "x.yaml");
  const auto message = [&](const std::string& path) {
    Node copy = root;
    try {
      set_path(copy, path, scalar("2"));
      return std::string();
    } catch (const InputError& error) {
      CHECK(copy.entries.size() == root.entries.size());
      return std::string(error.what());
    }
  };
  CHECK_THAT(message("lr.x"), ContainsSubstring("--set: lr.x: found no place 'x' under '1'"));
  CHECK_THAT(message("arms.1"), ContainsSubstring("no place '1' under a list"));
  CHECK_THAT(message("arms.-1"), ContainsSubstring("no place '-1' under a list"));
  CHECK_THAT(message("arms.0x.name"), ContainsSubstring("no place '0x' under a list"));
  CHECK_THAT(message("arms.name"), ContainsSubstring("no place 'name' under a list"));
  Node named = parse_yaml("arms: [{name: gqa}, {name: cut}]", "x.yaml");
  CHECK_THROWS_WITH(set_path(named, "arms.cutt.lr", scalar("2")),
                    ContainsSubstring("(did you mean 'cut'?), expected one of gqa, cut, or a number from 0"));
  for (const char* path : {"", ".", "a.", ".a", "a..b"})
    CHECK_THAT(message(path), ContainsSubstring("an empty name in the path"));
}

TEST_CASE("finding a path that is not there gives nothing") {
  const Node root = parse_yaml("a: [1]\nb: 2\n", "x.yaml");
  for (const char* path : {"", "c", "a.1", "a.x", "b.c", "a.", "a.0.0"}) {
    INFO(path);
    CHECK(find_path(root, path) == nullptr);
  }
}

TEST_CASE("merging replaces scalars and lists and joins maps") {
  Node base = parse_yaml("a: 1\nm: {x: 1, y: 2}\nl: [1, 2]\n", "base.yaml");
  merge(base, parse_yaml("m: {y: 3, z: {w: 4}}\nl: [5]\nn: 6\n", "over.yaml"));
  CHECK(text_at(base, "a") == "'1'");
  CHECK(text_at(base, "m.x") == "'1'");
  CHECK(text_at(base, "m.y") == "'3'");
  CHECK(find_path(base, "m.y")->file == "over.yaml");
  CHECK(text_at(base, "m.z.w") == "'4'");
  CHECK(text_at(base, "l.0") == "'5'");
  CHECK(text_at(base, "l.1") == "absent");
  CHECK(text_at(base, "n") == "'6'");
  merge(base, parse_yaml("m:\n", "empty.yaml"));  // an empty map takes nothing away
  CHECK(text_at(base, "m.x") == "'1'");
}

TEST_CASE("damaged text parses or is refused") {
  const std::string good = "a: &x {b: [1, 'two', \"3\"], c: |\n    text\n  }\nd: *x\ne:\n  - f: ~\n  - g\n";
  const std::string alphabet = " \n\t:-[]{}'\"|>&*!?#%@x0";
  Random random(11);
  int refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    for (int64_t edits = random.between(1, 4); edits > 0; --edits)
      text[static_cast<size_t>(random.between(0, static_cast<int64_t>(text.size()) - 1))] =
          random.pick(alphabet);
    refused += refusal(text).empty() ? 0 : 1;
  }
  CHECK(refused > 0);
}
