#include "report/charts.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "report/chart_drawing.h"
#include "report/tables.h"

namespace attnlab::report {
namespace {

using nlohmann::json;

Html legend(const Chart& chart) {
  Html rows;
  for (const auto& line : chart.lines) {
    const Html swatch = element("svg", {{"class", "swatch"}, {"viewBox", "0 0 34 10"}, {"aria-hidden", "true"}},
                                element("path", {{"class", class_of("line", line)}, {"d", "M1 5H33"}}));
    rows +=
        element("li", swatch + text(" " + line.arm + " ") + element("small", text(count(line.seeds, "seed"))));
  }
  return element("ul", {{"class", "legend"}}, rows);
}

// Six significant digits: a thousandth of what the eye sees on a screen.
json rounded(const std::vector<double>& values) {
  json out = json::array();
  for (const double value : values)
    out.push_back(std::isfinite(value) ? json(parse_number<double>(fmt::format("{:.6g}", value)).value())
                                       : json(nullptr));
  return out;
}

json as_json(const Band& band) {
  return {{"mean", rounded(band.mean)}, {"low", rounded(band.low)}, {"high", rounded(band.high)}};
}

json as_json(const Chart& chart) {
  json lines = json::array();
  for (const auto& line : chart.lines) {
    json made{{"arm", line.arm},
              {"look", line.look % looks},
              {"steps", line.steps},
              {"tokens", rounded(line.tokens)},
              {"value", as_json(line.value)}};
    if (!line.difference.mean.empty()) made["difference"] = as_json(line.difference);
    lines.push_back(std::move(made));
  }
  return {{"y", chart.y_name}, {"first", chart.first}, {"settled", chart.settled}, {"lines", std::move(lines)}};
}

}  // namespace

Html draw(const Chart& chart) {
  const Html caption = element("figcaption", element("strong", text(chart.title)) + text(". " + chart.note));
  return element("figure", {{"class", "chart"}},
                 caption + element("div", {{"class", "plot"}}, draw_without_script(chart)) + legend(chart) +
                     json_block(as_json(chart))) +
         Html::trusted("\n");
}

}  // namespace attnlab::report
