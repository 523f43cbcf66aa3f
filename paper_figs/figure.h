// A figure: runs or measurements in, gnuplot commands or tables out. A new figure is one .cpp file with one
// function, declared here, in measured.h (of measurements) or in tables.h, and one row in figure_table.cpp.
#pragma once

#include <string>
#include <vector>

#include "compare/grid.h"
#include "results/measurements.h"
#include "run_set.h"

namespace attnlab {

// One picture, to be rendered in each format.
struct Drawing {
  std::string name;        // of the file, without an ending
  double height_in;        // in a font of 7 points; its width is the page's (style.h)
  std::string script;      // gnuplot commands with the data, without terminal and output
  std::string csv;         // the plotted numbers
  std::string words = "";  // title and caption
};

// One table, to be written in each format.
struct Table {
  std::string name;  // of the file, without an ending
  std::string caption;
  Grid grid;
  std::vector<std::string> notes;  // sentences under it
};

struct Figure {
  std::vector<Drawing> drawings;
  std::string missing;  // why there is nothing to draw
  std::vector<Table> tables = {};

  bool empty() const { return drawings.empty() && tables.empty(); }
};

// Of the runs of one experiment.
Figure training_loss(const RunSet& runs);
Figure heldout_loss(const RunSet& runs);
Figure accuracy(const RunSet& runs);
Figure tasks(const RunSet& runs);
Figure ablation(const RunSet& runs);
Figure accuracy_cache(const RunSet& runs);
Figure kept_bytes(const RunSet& runs);
Figure loss_flops(const RunSet& runs);
Figure learning_rate(const RunSet& runs);
Figure recovery(const RunSet& runs);
// Of the runs of all experiments together.
Figure ladder(const std::vector<RunSet>& experiments);

}  // namespace attnlab
