#include "experiment/run/run_ranks.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/find_field.h"
#include "core/names.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

constexpr const char* kRanksKey = "ranks";
constexpr const char* kBegin = "from step ";
constexpr const char* kBetween = "; ";

std::string ranks_text(const std::vector<std::string>& hosts) {
  if (hosts.empty()) return "1";
  std::vector<std::string> parts;
  for (size_t i = 0; i < hosts.size();) {
    size_t end = i;
    while (end < hosts.size() && hosts[end] == hosts[i]) ++end;
    parts.push_back(fmt::format("{} on {}", end - i, hosts[i]));
    i = end;
  }
  return fmt::format("{} ({})", hosts.size(), join(parts));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(kBetween, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return parts;
}

// The step of "from step 201: …".
int64_t step_of_part(const std::string& part) {
  const size_t begin = std::string(kBegin).size(), end = part.find(':');
  if (end == std::string::npos || end < begin) return 0;
  return parse_number<int64_t>(part.substr(begin, end - begin)).value_or(0);
}

}  // namespace

bool tells_ranks(const FlatFields& provenance, const std::vector<std::string>& hosts) {
  return !hosts.empty() || find_field<std::string>(provenance, kRanksKey);
}

void add_ranks(FlatFields& provenance, int64_t step, const std::vector<std::string>& hosts) {
  if (!tells_ranks(provenance, hosts)) return;
  std::vector<std::string> parts;
  if (const auto* text = find_field<std::string>(provenance, kRanksKey)) parts = split(*text);
  if (parts.empty() && step > 1) parts.push_back(fmt::format("{}1: 1", kBegin));
  while (!parts.empty() && step_of_part(parts.back()) >= step) parts.pop_back();
  const std::string now = ranks_text(hosts);
  if (parts.empty() || !parts.back().ends_with(": " + now))
    parts.push_back(fmt::format("{}{}: {}", kBegin, step, now));
  std::erase_if(provenance, [](const auto& field) { return field.first == kRanksKey; });
  provenance.emplace_back(kRanksKey, join(parts, kBetween));
}

}  // namespace attnlab
