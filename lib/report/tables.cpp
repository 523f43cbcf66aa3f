#include "report/tables.h"

#include <cctype>

namespace attnlab::report {
namespace {

Html in_box(const Html& rows, const std::string& caption) {
  const Html table = element("table", element("caption", text(caption)) + rows);
  // Focusable, so that the keyboard can scroll it.
  return element("div", {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", caption}},
                 table) +
         Html::trusted("\n");
}

// Columns of words stand to the left: those in which a cell begins with a letter.
std::vector<bool> word_columns(const Grid& grid) {
  std::vector<bool> words(grid.titles.size(), false);
  for (const auto& line : grid.lines)
    for (size_t i = 0; i < line.cells.size(); ++i)
      if (!line.cells[i].empty() && std::isalpha(static_cast<unsigned char>(line.cells[i].front())))
        words[i] = true;
  return words;
}

Attributes with_class(Attributes attributes, bool words) {
  if (words) attributes.emplace_back("class", "words");
  return attributes;
}

Html head_row(const Grid& grid, const std::vector<bool>& words) {
  Html cells;
  for (size_t i = 0; i < grid.titles.size(); ++i)
    cells += element("th", with_class({{"scope", "col"}}, words[i]), text(grid.titles[i]));
  return element("thead", element("tr", cells));
}

Html heading_row(const Line& line, size_t columns) {
  const Attributes spanning{{"colspan", std::to_string(columns)}, {"scope", "colgroup"}, {"class", "group"}};
  return element("tr", element("th", spanning, text(line.heading)));
}

Html body_row(const Line& line, const std::vector<bool>& words) {
  if (line.cells.empty()) return heading_row(line, words.size());
  Html cells = element("th", {{"scope", "row"}}, text(line.cells.front()));
  for (size_t i = 1; i < line.cells.size(); ++i)
    cells += element("td", with_class({}, words[i]), text(line.cells[i]));
  return element("tr", cells) + Html::trusted("\n");
}

}  // namespace

std::string number(double value, int digits) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}g}", value, digits);
}

std::string plain_text(const FieldValue& value) {
  const auto* words = std::get_if<std::string>(&value);
  return words ? *words : to_text(value);
}

std::string count(int64_t n, const std::string& noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

Html table_of(const Grid& grid, const std::string& caption) {
  Html rows;
  const std::vector<bool> words = word_columns(grid);
  for (const auto& line : grid.lines) rows += body_row(line, words);
  return in_box(head_row(grid, words) + element("tbody", rows), caption);
}

Html table_of(const std::vector<std::string>& titles, const std::vector<std::vector<Html>>& rows,
              const std::string& caption) {
  Html body;
  for (const auto& row : rows) {
    Html cells = element("th", {{"scope", "row"}, {"class", "wraps"}}, row.front());
    for (size_t i = 1; i < row.size(); ++i) cells += element("td", {{"class", "words wraps"}}, row[i]);
    body += element("tr", cells) + Html::trusted("\n");
  }
  const Grid grid{.titles = titles};
  return in_box(head_row(grid, std::vector<bool>(titles.size(), true)) + element("tbody", body), caption);
}

Html list_table(const std::vector<std::pair<std::string, Html>>& rows, const std::string& caption) {
  Html body;
  for (const auto& [name, value] : rows)
    body += element("tr", element("th", {{"scope", "row"}}, text(name)) +
                              element("td", {{"class", "words long"}}, value)) +
            Html::trusted("\n");
  return in_box(element("tbody", body), caption);
}

}  // namespace attnlab::report
