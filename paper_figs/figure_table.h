// The figures by name, what each is drawn from, and the command that makes its data.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "figure.h"
#include "figure_inputs.h"

namespace attnlab {

struct FigureRow {
  const char* name;
  // Called once per experiment, once with all, or once with the measurements of all files.
  std::variant<Figure (*)(const RunSet&), Figure (*)(const std::vector<RunSet>&),
               Figure (*)(const Measurements&)>
      draw;
  const char* needs;  // the command that makes its data
};

std::span<const FigureRow> figure_table();
std::vector<std::string> figure_names();

// The drawings of all experiments, or what there is to say if none has any.
Figure draw_figure(const FigureRow& row, const FigureInputs& inputs);

}  // namespace attnlab
