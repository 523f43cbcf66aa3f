#include "page_options.h"

#include <map>
#include <utility>

#include "config/node.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

// "3.3in", "84mm", "8.4cm", or a number of inches.
double inches_of(const std::string& text) {
  double unit = 1;
  std::string number = text;
  for (const auto& [name, size] : {std::pair{"in", 1.0}, {"mm", 1 / 25.4}, {"cm", 1 / 2.54}})
    if (text.ends_with(name)) {
      unit = size;
      number = text.substr(0, text.size() - 2);
    }
  const auto value = parse_number<double>(number);
  if (!value || !(*value * unit >= 2) || !(*value * unit <= 20))
    throw InputError(BadInput{.file = "--width",
                              .found = "'" + text + "'",
                              .expected = "a width of 2 to 20 inches: 3.3in, 84mm, 8.4cm"});
  return *value * unit;
}

// NAME: LABEL, a line each.
std::map<std::string, std::string> read_labels(const std::string& file) {
  const Node root = parse_yaml_file(file);
  const auto refuse = [&](const Node& node, const std::string& key, const char* expected) {
    throw InputError(
        {.file = file, .line = node.line, .key = key, .found = node.describe(), .expected = expected});
  };
  if (root.kind != Node::Kind::map) refuse(root, "", "a map of NAME: LABEL");
  std::map<std::string, std::string> labels;
  for (const auto& [name, value] : root.entries) {
    if (value.kind != Node::Kind::scalar) refuse(value, name, "a text");
    labels[name] = value.text;
  }
  return labels;
}

}  // namespace

void add_page_options(Program& program, PageOptions& options) {
  program.option("width", options.width, "WIDTH", "of figures: 3.3in, 84mm, 8.4cm (default: 3.4in, a column)")
      .option("font-size", options.font_size, "POINTS", "of the text, 5 to 12")
      .option("labels", options.labels, "FILE",
              "YAML, NAME: LABEL: what stands in figures for an arm, an axis, a key")
      .flag("no-title", options.no_title,
            "title and caption go to NAME.txt beside the figure instead of into it");
}

style::Page page_of(const PageOptions& options) {
  require_range("--font-size", options.font_size, 5, 12);
  style::Page page{.font_pt = static_cast<double>(options.font_size), .titles = !options.no_title};
  if (!options.width.empty()) page.width_in = inches_of(options.width);
  if (!options.labels.empty()) page.labels = read_labels(options.labels);
  return page;
}

}  // namespace attnlab
