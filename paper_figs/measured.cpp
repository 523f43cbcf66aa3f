#include "measured.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>

#include "core/numbers.h"

namespace attnlab {

bool has_perplexity(const ConversionRow& row) {
  return row.perplexity > 0 && row.perplexity_base > 0 && std::isfinite(row.perplexity) &&
         std::isfinite(row.perplexity_base);
}

std::string short_name(const std::string& base) {
  std::filesystem::path path = std::filesystem::path(base).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

std::string drawing_name(const std::string& name, const std::string& group, size_t groups) {
  return groups == 1 ? name : name + "-" + plain_name(group);
}

std::string option_of(const std::string& options, const std::string& key) {
  std::istringstream words(options);
  for (std::string word; words >> word;)
    if (word.size() > key.size() && word.compare(0, key.size(), key) == 0 && word[key.size()] == '=')
      return word.substr(key.size() + 1);
  return "";
}

double option_number(const std::string& options, const std::string& key) {
  return parse_number<double>(option_of(options, key)).value_or(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace attnlab
