#include "experiment/plan/sweep.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "core/errors.h"
#include "core/names.h"

namespace attnlab {
namespace {

std::string last_part(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string value_text(const Node& value) {
  if (value.kind == Node::Kind::scalar) return value.text;
  std::string text;
  for (const auto& item : value.items) text.append(text.empty() ? "" : "+").append(value_text(item));
  return text;
}

void validate(const std::string& key, const Node& list) {
  const auto refuse = [&](const Node& at, const std::string& found, const std::string& expected) {
    throw InputError(BadInput{
        .file = at.file, .line = at.line, .key = "sweep." + key, .found = found, .expected = expected});
  };
  const std::vector<std::string> sections{"base", "data", "arms", "train", "eval"};
  const std::string section = key.substr(0, key.find('.'));
  if (section == key || std::find(sections.begin(), sections.end(), section) == sections.end())
    throw InputError(BadInput{.file = list.file,
                              .line = list.line,
                              .key = "sweep." + key,
                              .found = "'" + key + "'",
                              .expected = "a dotted key of base, data, arms, train or eval",
                              .nearest = nearest_name(section, sections)});
  if (list.kind != Node::Kind::list || list.items.empty()) refuse(list, list.describe(), "a list of values");
  std::set<std::string> seen;
  for (const auto& item : list.items) {
    if (item.kind != Node::Kind::scalar && item.kind != Node::Kind::list)
      refuse(item, item.describe(), "a plain value or a list");
    if (!seen.insert(as_file_name(value_text(item))).second)
      refuse(item, item.describe() + " twice", "each value once");
  }
}

}  // namespace

std::string as_file_name(const std::string& text) {
  std::string out = text;
  for (char& c : out)
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("._+-").find(c) == std::string_view::npos)
      c = '_';
  return out;
}

std::vector<SweepPoint> sweep_points(const Node& root) {
  std::vector<SweepPoint> points{SweepPoint{}};
  const Node* sweep = root.find("sweep");
  if (!sweep || sweep->kind == Node::Kind::null) return points;
  if (sweep->kind != Node::Kind::map)
    throw InputError(BadInput{.file = sweep->file,
                              .line = sweep->line,
                              .key = "sweep",
                              .found = sweep->describe(),
                              .expected = "a map from dotted keys to lists of values"});
  std::map<std::string, int> endings;
  for (const auto& [key, unused] : sweep->entries) ++endings[last_part(key)];
  for (const auto& [key, list] : sweep->entries) {
    validate(key, list);
    const std::string name = endings[last_part(key)] > 1 ? key : last_part(key);
    std::vector<SweepPoint> longer;
    for (const auto& point : points)
      for (const auto& value : list.items) {
        longer.push_back(point);
        auto& text = longer.back().name;
        text.append(text.empty() ? "" : ",").append(name).append("=").append(as_file_name(value_text(value)));
        longer.back().values.emplace_back(key, value);
      }
    points = std::move(longer);
  }
  return points;
}

}  // namespace attnlab
