#include "checkpoint/dtypes.h"

namespace attnlab {

std::string dtype_name(c10::ScalarType dtype) {
  for (const auto& [name, type] : kComputingDtypes)
    if (type == dtype) return std::string(name);
  return c10::toString(dtype);
}

}  // namespace attnlab
