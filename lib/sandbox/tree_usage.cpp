#include "sandbox/tree_usage.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace attnlab {
namespace {

// More than any limit on processes: then the sum is over it anyway.
constexpr size_t kMostProcesses = 4096;

void add_status(const std::filesystem::path& folder, TreeUsage& usage) {
  std::ifstream status(folder / "status");
  for (std::string line; std::getline(status, line);) {
    const auto value = [&](const char* key) -> int64_t {
      return line.starts_with(key) ? std::atoll(line.c_str() + std::char_traits<char>::length(key)) : 0;
    };
    usage.resident_bytes += (value("RssAnon:") + value("RssShmem:")) * 1024;
    usage.threads += value("Threads:");
  }
}

// Each thread lists the processes that it made.
void add_children(const std::filesystem::path& folder, std::vector<pid_t>& queue) {
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(folder / "task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t pid; children >> pid;) queue.push_back(pid);
  }
}

}  // namespace

TreeUsage tree_usage(pid_t root) {
  TreeUsage usage;
  std::vector<pid_t> queue{root};
  for (size_t i = 0; i < queue.size() && i < kMostProcesses; ++i) {
    const std::filesystem::path folder = "/proc/" + std::to_string(queue[i]);
    add_status(folder, usage);
    add_children(folder, queue);
  }
  return usage;
}

}  // namespace attnlab
