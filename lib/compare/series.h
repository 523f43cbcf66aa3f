// A run's numbers over an axis that runs of different length, speed and cost can share.
#pragma once

#include <optional>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

// Tokens: trained ones, padding not counted. Seconds: training time. FLOPs: of training, three times those of
// the forward pass (the backward pass costs two forward passes).
enum class Axis { tokens, steps, seconds, flops };

template <>
struct EnumNames<Axis> {
  static constexpr std::array<std::pair<std::string_view, Axis>, 4> rows{
      {{"tokens", Axis::tokens}, {"steps", Axis::steps}, {"seconds", Axis::seconds}, {"flops", Axis::flops}}};
};

// The axis' name with its unit, "training time (s)".
std::string axis_title(Axis axis);
// A place on it, "91.52k".
std::string axis_text(Axis axis, double x);

// x ascends.
struct Series {
  std::vector<double> x, y;
  void add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
};

// Linear between rows; nothing outside of them.
std::optional<double> value_at(const Series& series, double x);

// Where a row of /train lies.
double axis_value(const RunRecord& run, const TrainRow& row, Axis axis);
// Where a step lies: step 0 at 0, steps between two rows of /train linearly between them; nothing after the
// last row.
std::optional<double> axis_value(const RunRecord& run, int64_t step, Axis axis);

// How many rows a moving mean takes of so many: an odd number, about a fortieth of all. Enough to thin the
// noise, too few to move a bend.
inline size_t smoothing_rows(size_t rows) { return rows / 80 * 2 + 1; }
// Means of `rows` consecutive points, in x and in y; no points if there are fewer. rows >= 1.
Series moving_mean(const Series& series, size_t rows);

}  // namespace attnlab
