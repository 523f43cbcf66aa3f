// What was measured without training: conversions, decoding steps, fits to a teacher.
#include <fmt/format.h>

#include <map>

#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

// A fit's last step is what it reached.
std::vector<FitRow> last_steps(const std::vector<FitRow>& rows) {
  std::map<std::tuple<std::string, std::string, std::string, int64_t, int64_t>, FitRow> last;
  for (const auto& row : rows) {
    FitRow& kept =
        last.try_emplace({row.teacher, row.student, row.start, row.cached, row.seed}, row).first->second;
    if (row.step >= kept.step) kept = row;
  }
  std::vector<FitRow> out;
  for (const auto& [key, row] : last) out.push_back(row);
  return out;
}

template <class Row>
Html rows_of(const std::vector<Row>& rows, const std::string& name, const std::string& caption) {
  if (rows.empty()) return {};
  return foldable(text(fmt::format("{}: {}", name, count(std::ssize(rows), "row"))),
                  table_of(grid_of(rows), caption));
}

Html file(const Measurements& measured) {
  const std::string name = measured.path.filename().string();
  Html out = element("h3", text(name));
  out += rows_of(measured.conversions, "Conversions, stage by stage", name + ": conversions");
  out += rows_of(measured.decode_steps, "Decoding steps", name + ": decoding steps");
  out += rows_of(measured.served, "Requests served", name + ": requests served");
  out += rows_of(last_steps(measured.fits), "Fits to a teacher, at their last steps", name + ": fits");
  out += rows_of(measured.caches, "Ways of keeping a cache", name + ": caches");
  std::vector<std::string> more;
  if (!measured.norms.empty()) more.push_back(count(std::ssize(measured.norms), "norm") + " of dimensions");
  if (!measured.grams.empty())
    more.push_back(count(std::ssize(measured.grams), "number") + " of Gram matrices");
  if (!more.empty()) out += paragraph("Drawn by make_figures: " + join(more) + ".");
  return out;
}

}  // namespace

Html measurements_section(const std::vector<Measurements>& measured) {
  Html out;
  for (const auto& one : measured) out += file(one);
  if (measured.empty()) out = paragraph("No measurements (*.measured.h5) were given.");
  return section("measurements", "Measurements without training", out);
}

}  // namespace attnlab::report
