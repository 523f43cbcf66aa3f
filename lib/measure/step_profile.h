// Where the time of one step goes, by torch's own profiler (Kineto): on a GPU the kernels, copies and fills
// that CUPTI recorded, of a replayed graph, too; on a CPU the operators, each without those that it calls.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// What the profiler recorded, in ns of its clock.
struct ProfiledSpan {
  std::string name;
  uint64_t thread = 0, start_ns = 0, end_ns = 0;
};

// All spans of a name.
struct ProfileRow {
  std::string name;
  int64_t calls = 0;
  double microseconds = 0;
};

// A demangled name in one line that a table bears: without `void` and parameters, at most 100 characters.
std::string short_kernel_name(std::string name);
// Sums by short name, most time first. `nested`: the time of a span is what no span inside it on the same
// thread took.
std::vector<ProfileRow> profile_rows(std::vector<ProfiledSpan> spans, bool nested);
// A Markdown table of the `most` first rows, and a line with the sum of all and the step's time by the host's
// clock. Kernels of several streams may take more in sum than the step. Without rows, a line that says so.
std::string profile_table(const std::vector<ProfileRow>& rows, int64_t most, torch::Device device,
                          double step_microseconds);

// One call of `step` under the profiler as such a table, behind an empty line. Recording makes the host slower,
// not the kernels. most = 0: no call, no text.
std::string profiled_step(torch::Device device, int64_t most, const std::function<void()>& step);

}  // namespace attnlab
