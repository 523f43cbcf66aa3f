#include "tasks/boxed.h"

namespace attnlab {
namespace {

constexpr std::string_view kSpaced = "\\boxed ", kBraced = "\\boxed{";

// Up to the brace that closes the first one, or nothing.
std::optional<std::string> balanced(std::string_view text) {
  int64_t open = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return std::string(text.substr(0, i + 1));
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> last_boxed(std::string_view text) {
  if (const size_t at = text.rfind(kSpaced); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at);
    return std::string(rest.substr(0, rest.find('$', kSpaced.size())));
  }
  size_t at = text.rfind("\\boxed");
  if (at == std::string_view::npos) at = text.rfind("\\fbox");
  if (at == std::string_view::npos) return std::nullopt;
  return balanced(text.substr(at));
}

std::optional<std::string> inside_boxed(std::string_view boxed) {
  if (boxed.starts_with(kSpaced)) return std::string(boxed.substr(kSpaced.size()));
  if (boxed.find(kSpaced) != std::string_view::npos) return std::nullopt;
  if (!boxed.starts_with(kBraced) || !boxed.ends_with('}')) return std::nullopt;
  return std::string(boxed.substr(kBraced.size(), boxed.size() - kBraced.size() - 1));
}

}  // namespace attnlab
