#include "core/cores.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/numbers.h"
#include "core/progress.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

int64_t cores_of_affinity() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0 && CPU_COUNT(&mask) > 0) return CPU_COUNT(&mask);
  return std::max(1U, std::thread::hardware_concurrency());
}

// A control file may vanish at any time, so that what can't be read is no limit.
std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::optional<int64_t> quota_in(const fs::path& group) {
  if (const auto cores = cores_of_quota(first_line(group / "cpu.max"))) return cores;
  const std::string quota = first_line(group / "cpu.cfs_quota_us");
  return quota.starts_with('-') ? std::nullopt
                                : cores_of_quota(quota + " " + first_line(group / "cpu.cfs_period_us"));
}

// "0::/user.slice" (v2), "4:cpu,cpuacct:/docker/…" (v1).
std::optional<int64_t> quota_of_process() {
  std::ifstream in("/proc/self/cgroup");
  std::optional<int64_t> least;
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty(), of_cpu = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    if (!v2 && !of_cpu) continue;
    const fs::path root = v2 ? fs::path("/sys/fs/cgroup") : fs::path("/sys/fs/cgroup") / controllers;
    if (const auto cores = quota_of_group(root, line.substr(second + 1)))
      least = std::min(cores.value(), least.value_or(*cores));
  }
  return least;
}

}  // namespace

std::optional<int64_t> cores_of_quota(const std::string& text) {
  std::istringstream words(text);
  std::string quota, period;
  words >> quota >> period;
  const auto most = parse_number<int64_t>(quota), of = parse_number<int64_t>(period);
  if (!most || !of || *most < 1 || *of < 1) return std::nullopt;
  return (*most + *of - 1) / *of;
}

std::optional<int64_t> quota_of_group(const fs::path& root, fs::path group) {
  group = group.relative_path();
  std::optional<int64_t> least;
  while (true) {
    if (const auto cores = quota_in(root / group)) least = std::min(*cores, least.value_or(*cores));
    if (group.empty()) return least;
    group = group.parent_path();
  }
}

int64_t usable_cores() {
  const int64_t cores = cores_of_affinity();
  return std::clamp<int64_t>(quota_of_process().value_or(cores), 1, cores);
}

CpuUse cpu_use() {
  CpuUse use;
  std::error_code failed;
  for (const auto& thread : fs::directory_iterator("/proc/self/task", failed)) {
    std::istringstream numbers(first_line(thread.path() / "schedstat"));
    double running_ns = 0, waiting_ns = 0;
    if (!(numbers >> running_ns >> waiting_ns)) continue;
    use.running += 1e-9 * running_ns;
    use.waiting += 1e-9 * waiting_ns;
  }
  return use;
}

std::string starvation_note(const CpuUse& use) {
  if (use.running + use.waiting < 5 || use.waiting < use.running) return "";
  return fmt::format(
      "this program ran for {} and waited for a core for {}: other work shares the cores that it may use ({})",
      format_duration(use.running), format_duration(use.waiting), usable_cores());
}

}  // namespace attnlab
