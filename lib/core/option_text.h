// A name with its options, for a person.
#pragma once

#include <string>
#include <vector>

#include "core/fields.h"
#include "core/names.h"

namespace attnlab {

// "care (rank 12, covariance true)"; the name alone without options.
inline std::string with_options_text(const std::string& name, const FlatFields& options) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : options) parts.push_back(key + " " + to_text(value));
  return parts.empty() ? name : name + " (" + join(parts) + ")";
}

}  // namespace attnlab
