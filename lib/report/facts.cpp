#include "report/facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/find_field.h"
#include "report/tables.h"

namespace attnlab::report {

std::string fact(const FlatFields& facts, const std::string& key) {
  const FieldValue* value = find_field(facts, key);
  return value ? plain_text(*value) : "";
}

std::vector<std::string> distinct(const std::vector<std::string>& texts) {
  std::vector<std::string> found;
  for (const auto& text : texts)
    if (!text.empty() && std::find(found.begin(), found.end(), text) == found.end()) found.push_back(text);
  return found;
}

std::string listed(const std::vector<std::string>& texts, size_t most) {
  if (texts.size() <= most) return join(texts);
  const std::vector<std::string> shown(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(most));
  return fmt::format("{} and {} more", join(shown), texts.size() - most);
}

}  // namespace attnlab::report
