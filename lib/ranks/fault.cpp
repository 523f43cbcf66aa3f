#include "ranks/fault.h"

#include <fmt/format.h>

namespace attnlab {

std::string fault_line(int64_t rank, const std::string& host, const std::string& cause) {
  return fmt::format("rank {} ({}): {}", rank, host, cause);
}

}  // namespace attnlab
