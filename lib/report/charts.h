// A chart: an SVG that stands by itself, and its numbers for curves.js, which makes it answer to the pointer.
#pragma once

#include <string>
#include <vector>

#include "report/curve_data.h"
#include "report/html.h"

namespace attnlab::report {

struct Chart {
  std::string title;   // "Training loss, quickstart"
  std::string y_name;  // with the unit: "held-out loss, nats per token"
  std::string note;    // what line and band are
  std::string first;   // the arm that differences are to; "" if none
  double settled = 0;  // the y axis need not show what lies before this share of the x axis
  std::vector<CurveLine> lines;
};

inline constexpr size_t looks = 14;  // colours and dashes of report.css

Html draw(const Chart& chart);

}  // namespace attnlab::report
