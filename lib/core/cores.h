// The cores that this process may use, and whether it gets them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace attnlab {

// Cores that the affinity mask names, or fewer where a control group limits the process's time (cpu.max of
// cgroup v2, cpu.cfs_quota_us of v1); at least 1.
int64_t usable_cores();

// Cores that "MAX PERIOD" (cpu.max, microseconds; "max": no limit) stands for, rounded up. nullopt: no limit,
// or not of this form.
std::optional<int64_t> cores_of_quota(const std::string& text);
// The tightest limit on the way from a control group up to the root of its hierarchy; nullopt: none.
std::optional<int64_t> quota_of_group(const std::filesystem::path& root, std::filesystem::path group);

// Seconds that threads of this process ran, and that they were ready and had no core.
struct CpuUse {
  double running = 0, waiting = 0;
};
// Of the threads that are alive; zeros where the kernel does not say (/proc/self/task/*/schedstat).
CpuUse cpu_use();
// What to tell a person whose program waits for cores more than it runs, if so; "" for less than 5 seconds in
// all.
std::string starvation_note(const CpuUse& use);

}  // namespace attnlab
