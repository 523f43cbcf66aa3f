// Drawings of panels, one above the other, with one key below them.
#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "figure.h"

namespace attnlab {

struct SeriesPoint {
  double x = 0, y = 0;
  double low = std::numeric_limits<double>::quiet_NaN(), high = low;  // ends of a band; NaN: none
};

// A line of the panel. Series of one name share their look and their row of the key.
struct PanelSeries {
  std::string name;
  size_t look = 0;  // place among style.h's looks
  bool marks = false;
  std::vector<SeriesPoint> points;
};

struct PanelAxis {
  std::string name;  // of x: empty where the panel below shows the labels
  double low = 0, high = 1;
  bool log = false;
  std::vector<std::pair<std::string, double>> tics = {};  // of x; none: gnuplot's own
};

struct Panel {
  std::string title;
  PanelAxis x, y, second_x = {};        // second_x: tics and name above the drawing area
  std::string before = "";              // gnuplot commands in front of the plot: data blocks, labels, objects
  std::vector<std::string> plots = {};  // parts of the plot command, drawn under the series
  std::vector<PanelSeries> series = {};
  double height_in = 1.45;
};

// A row of the key that belongs to no series: gnuplot's "with …".
struct KeyEntry {
  std::string title, with;
};

// All but the CSV.
Drawing draw_panels(const std::string& name, const std::string& title, const std::string& caption,
                    const std::vector<Panel>& panels, const std::vector<KeyEntry>& key = {});

// Makes [axis.low, axis.high] hold `value`; values that are not finite are left out.
void widen(PanelAxis& axis, double value);
// An axis that holds nothing yet.
PanelAxis empty_axis(const std::string& name, bool log = false);

}  // namespace attnlab
