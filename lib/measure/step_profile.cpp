#include "measure/step_profile.h"

#include <fmt/format.h>
#include <kineto/ActivityType.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "measure/bench_device.h"

namespace attnlab {
namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

constexpr size_t kLongestName = 100;

// Where the parameters begin that the name ends with, or its end. "Memset (Device)" has none.
size_t parameters_begin(const std::string& name) {
  if (!name.ends_with(')')) return name.size();
  int depth = 0;
  for (size_t i = name.size(); i-- > 1;) {
    depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
    if (depth == 0) return name[i - 1] == ' ' ? name.size() : i;
  }
  return name.size();
}

// ns of each span without those inside it, for spans in the order of thread and start, the outer one first.
std::vector<uint64_t> own_times(const std::vector<ProfiledSpan>& spans) {
  std::vector<uint64_t> own;
  std::vector<size_t> open;
  for (const auto& span : spans) {
    while (!open.empty() &&
           (spans[open.back()].thread != span.thread || spans[open.back()].end_ns <= span.start_ns))
      open.pop_back();
    if (!open.empty()) {
      auto& outer = own[open.back()];
      outer -= std::min(outer, std::min(spans[open.back()].end_ns, span.end_ns) - span.start_ns);
    }
    open.push_back(own.size());
    own.push_back(span.end_ns - span.start_ns);
  }
  return own;
}

// A range that marks kernels on the device, or a wait, is none that took its time.
bool counts(const kineto::KinetoEvent& event, bool on_gpu) {
  using Recorded = libkineto::ActivityType;
  const auto type = static_cast<Recorded>(event.activityType());
  if (on_gpu)
    return type == Recorded::CONCURRENT_KERNEL || type == Recorded::GPU_MEMCPY || type == Recorded::GPU_MEMSET;
  return !event.isAsync() && event.deviceType() == torch::kCPU &&
         (type == Recorded::CPU_OP || type == Recorded::USER_ANNOTATION);
}

std::vector<ProfiledSpan> spans_of(const kineto::ProfilerResult& result, bool on_gpu) {
  std::vector<ProfiledSpan> spans;
  for (const auto& event : result.events())
    if (counts(event, on_gpu))
      spans.push_back(
          {event.name(), event.startThreadId(), event.startNs(), event.startNs() + event.durationNs()});
  return spans;
}

}  // namespace

std::string short_kernel_name(std::string name) {
  for (char& c : name)
    if (c == '\n' || c == '|' || c == '`') c = ' ';
  if (name.starts_with("void ")) name.erase(0, 5);
  name.erase(parameters_begin(name));
  if (name.size() > kLongestName) name = name.substr(0, kLongestName - 1) + "…";
  return name;
}

std::vector<ProfileRow> profile_rows(std::vector<ProfiledSpan> spans, bool nested) {
  std::sort(spans.begin(), spans.end(), [](const ProfiledSpan& a, const ProfiledSpan& b) {
    return std::tuple(a.thread, a.start_ns, b.end_ns) < std::tuple(b.thread, b.start_ns, a.end_ns);
  });
  const auto own = nested ? own_times(spans) : std::vector<uint64_t>{};
  std::map<std::string, ProfileRow> sums;
  for (size_t i = 0; i < spans.size(); ++i) {
    auto name = short_kernel_name(spans[i].name);
    auto& row = sums[name];
    row.name = std::move(name);
    ++row.calls;
    row.microseconds += static_cast<double>(nested ? own[i] : spans[i].end_ns - spans[i].start_ns) / 1000;
  }
  std::vector<ProfileRow> rows;
  for (auto& [name, row] : sums) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ProfileRow& a, const ProfileRow& b) { return a.microseconds > b.microseconds; });
  return rows;
}

std::string profile_table(const std::vector<ProfileRow>& rows, int64_t most, torch::Device device,
                          double step_microseconds) {
  if (rows.empty())
    return device.is_cpu() ? "no profile: torch's profiler recorded no operators\n"
                           : "no profile: torch's profiler recorded nothing on the device (is CUPTI there?)\n";
  int64_t calls = 0;
  double sum = 0;
  for (const auto& row : rows) {
    calls += row.calls;
    sum += row.microseconds;
  }
  std::string text = fmt::format("| {} | calls | {} | share |\n|---|---:|---:|---:|\n",
                                 device.is_cpu() ? "operator" : "kernel", device.is_cpu() ? "own µs" : "µs");
  for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(most); ++i)
    text += fmt::format("| `{}` | {} | {:.1f} | {:.1f} % |\n", rows[i].name, rows[i].calls,
                        rows[i].microseconds, sum > 0 ? 100 * rows[i].microseconds / sum : 0);
  return text + fmt::format("\nall {} {}: {} {}, {:.1f} µs; the step: {:.1f} µs under the profiler\n",
                            rows.size(), device.is_cpu() ? "operators" : "kernels", calls,
                            device.is_cpu() ? "calls" : "launches", sum, step_microseconds);
}

std::string profiled_step(torch::Device device, int64_t most, const std::function<void()>& step) {
  if (most == 0) return "";
  setenv("KINETO_LOG_LEVEL", "6", 0);  // its log of starts and stops goes to standard error otherwise
  std::set<ActivityType> activities{ActivityType::CPU};
  if (device.is_cuda()) activities.insert(ActivityType::CUDA);
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  kineto::prepareProfiler(config, activities);
  kineto::enableProfiler(config, activities);
  double milliseconds = 0;
  try {
    milliseconds = times_of(device, 1, step).front();
  } catch (...) {
    kineto::disableProfiler();
    throw;
  }
  const auto result = kineto::disableProfiler();
  const auto rows = profile_rows(spans_of(*result, device.is_cuda()), device.is_cpu());
  return "\n" + profile_table(rows, most, device, 1000 * milliseconds);
}

}  // namespace attnlab
