// The reference of exp.yaml, written from what reads it.
#pragma once

#include <string>

namespace attnlab {

// A Markdown page: every key with type, range, default and help, the options of each variant, and the protocols
// of each task.
std::string config_reference();

}  // namespace attnlab
