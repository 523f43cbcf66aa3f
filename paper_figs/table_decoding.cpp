// Table 4: tokens per second by context and form.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "measured.h"
#include "tables.h"

namespace attnlab {
namespace {

// Context, whether the batch was looked for, GiB (0: all), and the batch if it was given.
using Step = std::tuple<int64_t, bool, double, int64_t>;

Step step_of(const DecodeRow& row) {
  return {row.context, row.found == 1, row.memory_limit, row.found == 1 ? 0 : row.batch};
}

std::string batch_name(const Step& step) {
  const auto& [context, found, memory, batch] = step;
  const std::string in = memory == 0 ? "" : fmt::format(" in {:.4g} GiB", memory);
  return (found ? "largest" : fmt::format("{}", batch)) + in;
}

std::vector<std::string> forms_of(const std::vector<DecodeRow>& rows) {
  std::vector<std::string> forms;
  for (const auto& row : rows)
    if (std::find(forms.begin(), forms.end(), row.form) == forms.end()) forms.push_back(row.form);
  std::stable_partition(forms.begin(), forms.end(), [](const std::string& form) { return form == "gqa"; });
  return forms;
}

using ByForm = std::map<std::string, DecodeRow>;  // of a step measured twice the last counts

std::string throughput(const ByForm& rows, const std::string& form) {
  const auto row = rows.find(form);
  if (row == rows.end()) return "-";
  if (row->second.fits == 0) return "does not fit";
  const std::string tokens =
      fmt::format("{:.1f}", 1000 * static_cast<double>(row->second.batch) / row->second.ms);
  return row->second.found == 1 ? tokens + fmt::format(" (batch {})", row->second.batch) : tokens;
}

std::string times_as_fast(const ByForm& rows, const std::string& form) {
  const auto ours = rows.find(form), gqa = rows.find("gqa");
  if (ours == rows.end() || gqa == rows.end() || ours->second.fits == 0 || gqa->second.fits == 0) return "-";
  const auto tokens = [](const DecodeRow& row) { return static_cast<double>(row.batch) / row.ms; };
  return fmt::format("{:.2f}", tokens(ours->second) / tokens(gqa->second));
}

void add_lines(Grid& grid, const std::vector<DecodeRow>& rows, const std::vector<std::string>& forms) {
  std::map<Step, ByForm> steps;
  for (const auto& row : rows) steps[step_of(row)][row.form] = row;
  for (const auto& [step, by_form] : steps) {
    Line line{.cells = {fmt::format("{}", std::get<0>(step)), batch_name(step)}};
    for (const auto& form : forms) line.cells.push_back(throughput(by_form, form));
    for (const auto& form : forms)
      if (form != "gqa") line.cells.push_back(times_as_fast(by_form, form));
    grid.lines.push_back(std::move(line));
  }
}

}  // namespace

Figure table_4(const Measurements& measured) {
  if (measured.decode_steps.empty()) return {.drawings = {}, .missing = "no decoding step was measured"};
  const std::vector<std::string> forms = forms_of(measured.decode_steps);
  Grid grid{.titles = {"context", "batch"}};
  for (const auto& form : forms) grid.titles.push_back(form + ", tokens/s");
  for (const auto& form : forms)
    if (form != "gqa") grid.titles.push_back(form + ", times as fast as gqa");
  for (const auto& [place, rows] : grouped(measured.decode_steps, [](const DecodeRow& row) {
         return row.shape + ", " + row.device + ", " + row.dtype;
       })) {
    grid.lines.push_back({.heading = place});
    add_lines(grid, rows, forms);
  }
  return {
      .drawings = {},
      .missing = "",
      .tables = {
          {.name = "table_4",
           .caption = "Tokens per second by context, batch and form of attention",
           .grid = std::move(grid),
           .notes = {"Batch over the median time of one decoding step with the caches full to the context; "
                     "-: not measured.",
                     "Largest: the largest batch that fits into the device's memory, or into so much of it.",
                     "The paper's table 4 is of vLLM on three GPUs (165 to 320 TFLOPS, 24 to 64 GB), with "
                     "prompts read and as many tokens written: a cap of memory stands for their capacity "
                     "alone. Requests served by its protocol are in the figure decode_speedup."}}}};
}

}  // namespace attnlab
