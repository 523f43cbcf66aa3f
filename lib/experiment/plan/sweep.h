// Sweep points: every combination of the listed values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/node.h"

namespace attnlab {

struct SweepPoint {
  std::string name;  // "lr=0.001,split=left"; a folder name; empty without a sweep
  std::vector<std::pair<std::string, Node>> values;
};

// `sweep` maps dotted keys to lists of values. Without one: a single point without values. The first key varies
// slowest. A key's name is its last part, or the whole where two keys end alike. Throws InputError.
std::vector<SweepPoint> sweep_points(const Node& root);

// A text as part of a file name: all but letters, digits and "._+-" become '_'.
std::string as_file_name(const std::string& text);

}  // namespace attnlab
