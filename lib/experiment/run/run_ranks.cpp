#include "experiment/run/run_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "core/names.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

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

void add_ranks(FlatFields& provenance, int64_t step, const std::vector<std::string>& hosts) {
  const auto found = std::find_if(provenance.begin(), provenance.end(),
                                  [](const auto& field) { return field.first == "ranks"; });
  if (found == provenance.end() && hosts.empty()) return;
  std::vector<std::string> parts;
  if (found != provenance.end() && std::holds_alternative<std::string>(found->second))
    parts = split(std::get<std::string>(found->second));
  if (parts.empty() && step > 1) parts.push_back(fmt::format("{}1: 1", kBegin));
  while (!parts.empty() && step_of_part(parts.back()) >= step) parts.pop_back();
  const std::string now = ranks_text(hosts);
  if (parts.empty() || !parts.back().ends_with(": " + now))
    parts.push_back(fmt::format("{}{}: {}", kBegin, step, now));
  if (found != provenance.end()) provenance.erase(found);
  provenance.emplace_back("ranks", join(parts, kBetween));
}

}  // namespace attnlab
