#include "render.h"

#include <fmt/format.h>
#include <gnuplot-iostream.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <system_error>

#include "core/errors.h"
#include "core/files.h"
#include "core/scratch_folder.h"
#include "style.h"

namespace attnlab {
namespace {
namespace fs = std::filesystem;

// Cairo's terminals take a font's points as 1/72 inch of the page; on the PNG a page has 300 dots an inch.
constexpr double png_dots_per_inch = 300;

std::string terminal(const std::string& format, double height_in) {
  const std::string text = fmt::format("noenhanced font '{},{}'", style::font, style::font_pt);
  const double width = style::page().width_in, height = height_in * style::scale();
  if (format == "png") {
    const double scale = png_dots_per_inch / 72 * style::scale();
    return fmt::format("pngcairo size {:.0f},{:.0f} {} fontscale {} linewidth {} pointscale {}",
                       width * png_dots_per_inch, height * png_dots_per_inch, text, scale, scale, scale);
  }
  const std::string larger =
      style::scale() == 1 ? "" : fmt::format(" fontscale {0} linewidth {0}", style::scale());
  if (format == "pdf") return fmt::format("pdfcairo size {}in,{}in {}{}", width, height, text, larger);
  return fmt::format("svg size {:.0f},{:.0f} dynamic {}{}", width * 72, height * 72, text, larger);
}

// PDF files carry the time at which they were made.
std::string without_date(std::string pdf) {
  const std::string key = "/CreationDate (";
  for (size_t at = pdf.find(key); at != std::string::npos; at = pdf.find(key, at + 1))
    for (size_t i = at + key.size(); i < pdf.size() && pdf[i] != ')'; ++i)
      if (std::isdigit(static_cast<unsigned char>(pdf[i]))) pdf[i] = '0';
  return pdf;
}

void run_gnuplot(const std::string& script, const fs::path& log) {
  Gnuplot gnuplot("gnuplot > " + style::quoted(log.string()) + " 2>&1");
  gnuplot << script << std::flush;
}  // its destructor waits for gnuplot to end

}  // namespace

void require_gnuplot() {
  const char* variable = std::getenv("PATH");
  std::istringstream folders(variable ? variable : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/gnuplot").c_str(), X_OK) == 0) return;
  throw RunError("gnuplot is not on the PATH: install the package gnuplot-nox");
}

std::vector<fs::path> render(const Drawing& drawing, const fs::path& folder) {
  const ScratchFolder scratch("make_figures");
  const auto picture = [&](const std::string& format) { return scratch.path / ("picture." + format); };
  const fs::path log = scratch.path / "log";
  std::string script;
  for (const std::string format : {"png", "pdf", "svg"})
    script += fmt::format(
        "reset session\nset encoding utf8\nset terminal {}\nset output {}\n{}\nunset output\n",
        terminal(format, drawing.height_in), style::quoted(picture(format).string()), drawing.script);
  run_gnuplot(script, log);

  std::vector<fs::path> written;
  for (const std::string format : {"png", "pdf", "svg"}) {
    std::error_code missing;
    if (fs::file_size(picture(format), missing) == 0 || missing)
      throw RunError(fmt::format("gnuplot drew no {}.{}: {}", drawing.name, format, read_file(log)));
    std::string bytes = read_file(picture(format));
    if (format == "pdf") bytes = without_date(std::move(bytes));
    written.push_back(folder / (drawing.name + "." + format));
    write_file_atomic(written.back(), bytes);
  }
  const auto write = [&](const std::string& ending, const std::string& text) {
    written.push_back(folder / (drawing.name + ending));
    write_file_atomic(written.back(), text);
  };
  write(".csv", drawing.csv);
  if (!style::page().titles) write(".txt", drawing.words);
  return written;
}

}  // namespace attnlab
