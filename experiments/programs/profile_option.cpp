#include "profile_option.h"

namespace attnlab {

void add_profile_option(Program& program, int64_t& rows) {
  program.option(
      "profile", rows, "N",
      "one step more behind those that are measured, under torch's profiler: the N kernels (on a CPU "
      "operators, without those that they call) that take most of its time; 0: none");
}

void require_profile(int64_t rows) { require_range("--profile", rows, 0, 100000); }

}  // namespace attnlab
