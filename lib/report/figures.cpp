// Pictures of make_figures inside the page, with the numbers in them.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "report/csv.h"
#include "report/sections.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_rows = 200;

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // with the zero at its end
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(length));
  return out;
}

Html numbers(const fs::path& svg) {
  const fs::path csv = fs::path(svg).replace_extension(".csv");
  if (!fs::exists(csv)) return {};
  size_t left_out = 0;
  const Grid grid = read_csv(read_file(csv), most_rows, left_out);
  const std::string name = csv.filename().string();
  Html body = table_of(grid, left_out == 0 ? name : fmt::format("{}, the first {} rows", name, most_rows));
  if (left_out > 0) body += paragraph(fmt::format("{} more rows are in {}.", left_out, name));
  return foldable(text("The numbers in it"), body);
}

// As an image the picture runs no script and fetches nothing, whatever it holds.
Html figure(const fs::path& svg) {
  const std::string name = svg.stem().string();
  const Html image = void_element(
      "img", {{"src", "data:image/svg+xml;base64," + base64(read_file(svg))}, {"alt", "Figure " + name}});
  return element("figure", {{"class", "picture"}}, image + element("figcaption", text(name)) + numbers(svg)) +
         Html::trusted("\n");
}

}  // namespace

Html figures_section(const fs::path& folder) {
  Html out;
  if (folder.empty())
    out = paragraph("No figures were given: make them with make_figures and name their folder with --figures.");
  if (!folder.empty()) {
    if (!fs::is_directory(folder))
      throw InputError(
          BadInput{.file = "--figures", .found = folder.string(), .expected = "a folder with NAME.svg"});
    std::vector<fs::path> pictures;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".svg") pictures.push_back(entry.path());
    std::sort(pictures.begin(), pictures.end());
    Html shown;
    for (const auto& picture : pictures) shown += figure(picture);
    out = pictures.empty() ? paragraph("The folder of figures holds no SVG.")
                           : element("div", {{"class", "pictures"}}, shown);
  }
  return section("figures", "Figures", out);
}

}  // namespace attnlab::report
