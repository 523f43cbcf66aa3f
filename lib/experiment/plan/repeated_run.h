// A run's file as a config: resolved_yaml says all that the run was made of.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/node.h"
#include "core/fields.h"

namespace attnlab {

struct RepeatedRun {
  Node config;  // the tree of an exp.yaml with this run alone: one arm, one seed, the rate that was chosen
  std::string sweep_point;
  FlatFields provenance;  // what was found then: hashes of weights, tokenizer and data, threads
};

// Nothing if the path is no HDF5 file. Throws InputError if it is one, and holds no run.
std::optional<RepeatedRun> read_repeated_run(const std::filesystem::path& path);

// Files of older versions write the items of a list as keys, "layers[0]", "layers[1]": makes them lists.
void gather_lists(Node& map);

// A line for each hash that is another one now.
std::vector<std::string> changed_inputs(const FlatFields& before, const FlatFields& now);

}  // namespace attnlab
