#include "memory_option.h"

#include <fmt/format.h>

#include <map>

#include "core/numbers.h"
#include "measure/bench_device.h"

namespace attnlab {
namespace {

constexpr double kGibibyte = 1024.0 * 1024 * 1024;
// What the driver, kernels and graphs take beside the allocator.
constexpr double kNotAllocated = 2 * kGibibyte;

[[noreturn]] void refuse_limit(const std::string& found, const std::string& expected) {
  throw InputError(BadInput{.file = "--memory-limit", .found = found, .expected = expected});
}

double read_gibibytes(const std::string& limit) {
  static const std::map<char, double> units{{'G', 1}, {'M', 1 / 1024.0}, {'K', 1 / (1024.0 * 1024)}};
  const auto unit = limit.empty() ? units.end() : units.find(limit.back());
  const auto number = unit == units.end()
                          ? std::nullopt
                          : parse_number<double>(std::string_view(limit).substr(0, limit.size() - 1));
  if (!number || !(*number > 0)) refuse_limit("'" + limit + "'", "a number and G, M or K (24G), or all");
  return *number * unit->second;
}

}  // namespace

void add_memory_option(Program& program, std::vector<std::string>& limits) {
  program.option(
      "memory-limit", limits, "SIZE",
      "memory that the device's allocator may take (24G: 24 GiB; all: all but 2 GiB, which the driver "
      "and graphs need); may be repeated. Without --batch the largest batch that fits is found: "
      "counted (weights and caches), then tried. On a CPU it is counted alone");
}

std::vector<MemoryCap> read_memory_caps(const std::vector<std::string>& limits, torch::Device device) {
  std::vector<MemoryCap> caps;
  const double total = device_memory(device).total;
  for (const auto& limit : limits) {
    if (limit == "all") {
      if (total == 0) refuse_limit("all", "a size on this device, whose memory is not looked at");
      caps.push_back({.gibibytes = 0, .bytes = total - kNotAllocated});
      continue;
    }
    const double gibibytes = read_gibibytes(limit);
    if (total > 0 && gibibytes * kGibibyte > total)
      refuse_limit(limit, fmt::format("at most the {:.1f}G of the device, or all", total / kGibibyte));
    caps.push_back({.gibibytes = gibibytes, .bytes = gibibytes * kGibibyte});
  }
  return caps;
}

}  // namespace attnlab
