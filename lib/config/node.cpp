#include "config/node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <sstream>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/names.h"
#include "core/numbers.h"
#include "core/utf8.h"

namespace attnlab {
namespace {

// Bounds on what a text may grow to: aliases of aliases double with each line, and one may contain itself.
constexpr int kDeepest = 64;
constexpr int64_t kMostNodes = 1'000'000;

bool is_control(unsigned char c) { return std::iscntrl(c) != 0; }

// Text from a file as it may stand in a one-line message.
std::string one_line(std::string text) {
  constexpr size_t kShown = 80;
  if (text.size() > kShown) {
    size_t end = kShown;  // not in the middle of a UTF-8 sequence
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  std::replace_if(text.begin(), text.end(), is_control, ' ');
  return text;
}

int64_t line_of(const YAML::Node& yaml) { return yaml.Mark().is_null() ? 0 : yaml.Mark().line + 1; }

// yaml-cpp's tree → ours.
class Converter {
 public:
  // `lines`: how many the text has; yaml-cpp puts an empty value at its end into the next one.
  Converter(const std::string& file, int64_t lines) : file_(file), lines_(lines) {}

  // `line`: of the key that the value belongs to, where it has one.
  Node convert(const YAML::Node& yaml, int depth = 0, int64_t line = 0) {
    Node node{.file = file_, .line = std::min(line > 0 ? line : line_of(yaml), lines_)};
    if (depth > kDeepest) refuse(node.line, "nested values", "at most 64 levels");
    if (++nodes_ > kMostNodes) refuse(node.line, "aliases that grow without bound", "at most 1000000 values");
    if (yaml.IsScalar()) {
      convert_scalar(yaml, node);
    } else if (yaml.IsSequence()) {
      node.kind = Node::Kind::list;
      for (const auto& item : yaml) node.items.push_back(convert(item, depth + 1));
    } else if (yaml.IsMap()) {
      convert_map(yaml, depth, node);
    }
    return node;
  }

 private:
  [[noreturn]] void refuse(int64_t line, std::string found, std::string expected, std::string key = "") const {
    throw InputError({.file = file_,
                      .line = line,
                      .key = one_line(std::move(key)),
                      .found = std::move(found),
                      .expected = std::move(expected)});
  }

  // yaml-cpp tags plain scalars "?" and quoted or block ones "!"; all other tags were written by the user.
  void convert_scalar(const YAML::Node& yaml, Node& node) const {
    const std::string& tag = yaml.Tag();
    if (tag != "?" && tag != "!" && !tag.empty())
      refuse(node.line, "the tag '" + one_line(tag) + "'", "a value without a tag (quotes make it a text)");
    node.kind = Node::Kind::scalar;
    node.text = yaml.Scalar();
    node.quoted = tag == "!";
  }

  // A value takes the line of its key: yaml-cpp gives an empty value, a map or a list the line of what follows.
  void convert_map(const YAML::Node& yaml, int depth, Node& node) {
    node.kind = Node::Kind::map;
    std::set<std::string> seen;
    for (const auto& pair : yaml) {
      const int64_t line = line_of(pair.first);
      if (!pair.first.IsScalar()) refuse(line, "a key that is empty, a list or a map", "a plain key");
      const auto& key = pair.first.Scalar();
      if (std::any_of(key.begin(), key.end(), is_control))
        refuse(line, "a key with line breaks", "a plain key");
      if (!seen.insert(key).second) refuse(line, "the key twice", "each key once", key);
      node.entries.push_back({key, convert(pair.second, depth + 1, line)});
    }
  }

  const std::string& file_;
  int64_t lines_, nodes_ = 0;
};

// The child that one path component names; nullptr if there is none.
Node* step_into(Node& node, const std::string& part) {
  if (node.kind != Node::Kind::list) return node.find(part);
  const auto index = parse_number<size_t>(part);
  if (index && *index < node.items.size()) return &node.items[*index];
  for (Node& item : node.items)
    if (!part.empty() && name_of_item(item) == part) return &item;
  return nullptr;
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto dot = path.find('.');
  if (dot == std::string::npos) return {path, ""};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

[[noreturn]] void refuse_place(const Node& node, const std::string& part, const Node& value,
                               const std::string& whole) {
  std::vector<std::string> names;
  for (const Node& item : node.items)
    if (const std::string name = name_of_item(item); !name.empty()) names.push_back(name);
  throw InputError({.file = value.file,
                    .key = whole,
                    .found = "no place '" + part + "' under " + node.describe(),
                    .expected = names.empty()
                                    ? "a dotted path to a key (list items by name, or by number from 0)"
                                    : one_of(names, part) + ", or a number from 0",
                    .nearest = nearest_name(part, names)});
}

void set_below(Node& node, const std::string& rest, const Node& value, const std::string& whole) {
  const auto [part, tail] = split_path(rest);
  Node* child = step_into(node, part);
  if (!child) {
    if (node.kind == Node::Kind::scalar || node.kind == Node::Kind::list)
      refuse_place(node, part, value, whole);
    child = &node.entry(part);
    child->file = value.file;
    child->line = value.line;
  }
  if (tail.empty()) {
    *child = value;
  } else {
    set_below(*child, tail, value, whole);
  }
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, child] : entries)
    if (name == key) return &child;
  return nullptr;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

Node& Node::entry(const std::string& key) {
  if (Node* found = find(key)) return *found;
  kind = Kind::map;
  entries.push_back({key, Node{.file = file, .line = line}});
  return entries.back().value;
}

std::string Node::describe() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "'" + one_line(text) + "'";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
  }
  return "?";
}

namespace {

// YAML is text without control characters. yaml-cpp hands on any byte, and JSON that is made of the values
// later would fail.
void require_text(std::string_view text, const std::string& origin) {
  const std::string_view whole = text;
  while (!text.empty()) {
    const size_t length = valid_char_length(text);
    const bool control = length == 1 && is_control(static_cast<unsigned char>(text[0])) &&
                         std::string_view("\t\r\n").find(text[0]) == std::string_view::npos;
    if (length == 0 || control) {
      const std::string_view before = whole.substr(0, whole.size() - text.size());
      throw InputError({.file = origin,
                        .line = 1 + std::count(before.begin(), before.end(), '\n'),
                        .found = control ? "a control character" : "a byte that is not UTF-8",
                        .expected = "valid YAML"});
    }
    text.remove_prefix(length);
  }
}

// Hears where documents begin.
class DocumentStarts : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> marks;

  void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// What no value begins with, as a comma, yaml-cpp leaves where it stands: it takes it for empty documents
// without end, so that all are not to be asked for at once.
void require_one_document(const std::string& text, const std::string& origin) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  DocumentStarts starts;
  while (starts.marks.size() < 2 && parser.HandleNextDocument(starts)) continue;
  if (starts.marks.size() < 2) return;
  const bool stuck = starts.marks[0].pos == starts.marks[1].pos;
  throw InputError({.file = origin,
                    .line = starts.marks[1].line + 1,
                    .found = stuck ? "a sign that no value begins with" : "a second document (after '---')",
                    .expected = stuck ? "valid YAML (quotes make it a text)" : "one document"});
}

}  // namespace

Node parse_yaml(const std::string& text, const std::string& origin) {
  require_text(without_byte_order_mark(text, origin), origin);
  // yaml-cpp takes the end of the text for a missing closing quote, but not the end mark of a document.
  const std::string ended = text + (text.empty() || text.back() == '\n' ? "" : "\n") + "...\n";
  const auto last_line = std::count(ended.begin(), ended.end(), '\n');
  const int64_t lines = std::max<int64_t>(last_line - 1, 1);  // of the text itself
  try {
    require_one_document(ended, origin);
    return Converter(origin, lines).convert(YAML::Load(ended));
  } catch (const YAML::Exception& error) {
    const bool open_quote = error.msg == YAML::ErrorMsg::DOC_IN_SCALAR && error.mark.line + 1 == last_line;
    throw InputError({.file = origin,
                      .line = std::min<int64_t>(error.mark.line + 1, lines),
                      .found = open_quote ? "the end of the text in a quoted value" : one_line(error.msg),
                      .expected = open_quote ? "its closing quote" : "valid YAML"});
  }
}

Node parse_yaml_file(const std::filesystem::path& path) { return parse_yaml(read_file(path), path.string()); }

namespace {
void forget_lines(Node& node) {
  node.line = 0;
  for (auto& item : node.items) forget_lines(item);
  for (auto& entry : node.entries) forget_lines(entry.value);
}
}  // namespace

std::pair<std::string, Node> parse_setting(const std::string& option, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InputError(BadInput{.file = option, .found = "'" + text + "'", .expected = "KEY=VALUE"});
  Node value = parse_yaml(text.substr(equals + 1), option + " " + text);
  forget_lines(value);  // a command line has none
  return {text.substr(0, equals), std::move(value)};
}

std::string name_of_item(const Node& item) {
  for (const char* key : {"name", "task"}) {
    const Node* name = item.find(key);
    if (!name || name->kind != Node::Kind::scalar || name->text.empty()) continue;
    return name->text.find('.') == std::string::npos ? name->text : "";
  }
  return "";
}

void set_path(Node& root, const std::string& path, const Node& value) {
  if (("." + path + ".").find("..") != std::string::npos)
    throw InputError({.file = value.file,
                      .key = path,
                      .found = "an empty name in the path",
                      .expected = "a dotted path such as train.lr"});
  set_below(root, path, value, path);
}

const Node* find_path(const Node& root, const std::string& path) {
  if (path.ends_with('.')) return nullptr;
  const auto [part, tail] = split_path(path);
  const Node* child = step_into(const_cast<Node&>(root), part);
  return !child || tail.empty() ? child : find_path(*child, tail);
}

void merge(Node& base, const Node& overlay) {
  if (base.kind == Node::Kind::map && overlay.kind == Node::Kind::null) return;
  if (base.kind != Node::Kind::map || overlay.kind != Node::Kind::map) {
    base = overlay;
    return;
  }
  for (const auto& [key, child] : overlay.entries) merge(base.entry(key), child);
}

}  // namespace attnlab
