#include "tables.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>

#include "compare/latex.h"
#include "core/files.h"
#include "core/find_field.h"
#include "measured.h"

namespace attnlab {
namespace {

std::string markdown(const Table& table) {
  std::string text = "**" + table.caption + "**\n\n" + as_markdown(table.grid);
  if (!table.notes.empty()) text += "\n";
  for (const auto& note : table.notes) text += "- " + note + "\n";
  return text;
}

std::string latex(const Table& table) {
  std::string text = "% needs \\usepackage{booktabs,graphicx}, and \\usepackage[utf8]{inputenc} before 2018\n";
  text += "\\begin{table}\n\\centering\n\\caption{" + latex_text(table.caption) + "}\n\\small\n" +
          as_latex(table.grid);
  for (const auto& note : table.notes) text += "\n\\smallskip\\footnotesize " + latex_text(note) + "\n";
  return text + "\\end{table}\n";
}

struct AsText {
  std::string operator()(bool value) const { return value ? "yes" : "no"; }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{:g}", value); }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    return fmt::format("{}", fmt::join(values, ", "));
  }
};

}  // namespace

std::vector<std::filesystem::path> write_table(const Table& table, const std::filesystem::path& folder) {
  const auto write = [&](const std::string& ending, const std::string& text) {
    const auto path = folder / (table.name + ending);
    write_file_atomic(path, text);
    return path;
  };
  return {write(".md", markdown(table)), write(".tex", latex(table)), write(".csv", as_csv(table.grid))};
}

std::string text_of(const FlatFields& fields, const std::string& key) {
  const FieldValue* value = find_field(fields, key);
  return value ? std::visit(AsText(), *value) : "";
}

double number_of(const FlatFields& fields, const std::string& key) {
  const FieldValue* value = find_field(fields, key);
  if (value && std::holds_alternative<int64_t>(*value)) return static_cast<double>(std::get<int64_t>(*value));
  if (value && std::holds_alternative<double>(*value)) return std::get<double>(*value);
  return std::numeric_limits<double>::quiet_NaN();
}

std::string model_name(const RunHeader& header) {
  const std::string path = text_of(header.config, "base.path");
  if (path.empty()) return "random weights";
  const std::string name = short_name(path);
  if (!name.starts_with("seed") || !name.ends_with(".model")) return name;
  // What a run saved: EXPERIMENT/ARM/seed0.model.
  const std::filesystem::path arm = std::filesystem::path(path).lexically_normal().parent_path();
  return (arm.parent_path().filename() / arm.filename() / name.substr(0, name.rfind('.'))).string();
}

}  // namespace attnlab
