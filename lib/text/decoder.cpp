#include "text/decoder.h"

#include <optional>

#include "core/names.h"
#include "core/numbers.h"
#include "text/byte_level.h"
#include "text/growth.h"

namespace attnlab::text {
namespace {

using Tokens = std::vector<std::string>;

// The byte of a token of the form "<0x0A>".
std::optional<char> fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  const auto value = parse_number<unsigned>(std::string_view(token).substr(3, 2), 16);
  return value ? std::optional(static_cast<char>(*value)) : std::nullopt;
}

void flush_bytes(std::string& bytes, Tokens& out) {
  if (bytes.empty()) return;
  if (is_valid_utf8(bytes)) {
    out.push_back(bytes);
  } else {
    out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
  }
  bytes.clear();
}

void strip(std::string& token, const StripDecoder& step) {
  for (size_t i = 0; i < step.start && token.starts_with(step.character); ++i)
    token.erase(0, step.character.size());
  for (size_t i = 0; i < step.stop && token.ends_with(step.character); ++i)
    token.resize(token.size() - step.character.size());
}

struct ApplyDecoderStep {
  Tokens& tokens;
  size_t most;  // bytes that all of them may grow to

  void operator()(const ByteLevelDecoder&) const {
    std::string bytes;
    for (const std::string& token : tokens) bytes += bytes_of_spelling(token).value_or(token);
    tokens = {utf8_lossy(bytes)};
  }

  void operator()(const ByteFallbackDecoder&) const {
    Tokens out;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const auto byte = fallback_byte(token)) {
        bytes += *byte;
        continue;
      }
      flush_bytes(bytes, out);
      out.push_back(std::move(token));
    }
    flush_bytes(bytes, out);
    tokens = std::move(out);
  }

  void operator()(const FuseDecoder&) const { tokens = {join(tokens, "")}; }

  void operator()(const ReplaceDecoder& step) const {
    size_t bytes = 0;
    for (std::string& token : tokens) {
      token = step.pattern.replace_all(token, step.content, most);
      check_growth(bytes += token.size(), most);
    }
  }

  void operator()(const StripDecoder& step) const {
    for (std::string& token : tokens) strip(token, step);
  }

  void operator()(const MetaspaceDecoder& step) const {
    const Pattern pattern = Pattern::literal(step.replacement);
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = pattern.replace_all(tokens[i], i == 0 && step.drop_first ? "" : " ");
  }
};

}  // namespace

std::string Decoder::apply(std::vector<std::string> tokens) const {
  size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  for (const DecoderStep& step : steps) std::visit(ApplyDecoderStep{tokens, most_bytes(bytes)}, step);
  return join(tokens, "");
}

}  // namespace attnlab::text
