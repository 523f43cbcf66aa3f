// What is set on top of a config's file: by its size, by --set, by a sweep.
#pragma once

#include <string>
#include <vector>

#include "config/node.h"

namespace attnlab {

struct Setting {
  std::string path;  // dotted
  Node value;
};

// Sets a dotted key of a config. Arms go by name or number. What follows `sweep.`, or `sizes.` and a size's
// name, is one key with its dots: sweep.train.lr. Throws InputError as set_path does.
void set_key(Node& root, const Setting& setting);

// Throws InputError for a value that a sweep would override although it was set for itself: by `settings`, by
// an arm under a sweep of all arms, by another sweep, or a whole map. A plain value in the place of the swept
// key is the exception: it is what the key is without the sweep.
void refuse_overridden(const Node& root, const std::vector<Setting>& settings);

}  // namespace attnlab
