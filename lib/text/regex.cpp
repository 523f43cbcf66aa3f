#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdexcept>

#include "core/errors.h"
#include "text/growth.h"
#include "text/pattern_dialect.h"

namespace attnlab::text {
namespace {

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// Compiled expressions back-track on this stack; PCRE2's own, 32 KiB, is too small for long runs.
class MatchContext {
 public:
  MatchContext()
      : context_(pcre2_match_context_create(nullptr)),
        stack_(pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr)) {
    pcre2_jit_stack_assign(context_, nullptr, stack_);
  }
  ~MatchContext() {
    pcre2_match_context_free(context_);
    pcre2_jit_stack_free(stack_);
  }
  MatchContext(const MatchContext&) = delete;
  MatchContext& operator=(const MatchContext&) = delete;
  pcre2_match_context* get() const { return context_; }

 private:
  pcre2_match_context* context_;
  pcre2_jit_stack* stack_;
};

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;

  explicit Code(const std::string& expression) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                         nullptr);
    if (!code) throw std::invalid_argument(pcre2_message(error) + " at offset " + std::to_string(offset));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it can't, pcre2_match interprets
  }
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  // The first match that begins at or after `start`; false if there is none.
  bool search(std::string_view text, size_t start, pcre2_match_data* data) const {
    thread_local const MatchContext context;
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK, data, context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
      found = pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                          context.get());
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) throw RunError("tokenizer pattern: " + pcre2_message(found));
    return true;
  }

  std::vector<Span> find_all(std::string_view text) const {
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    std::vector<Span> matches;
    size_t at = 0;
    while (at <= text.size() && search(text, at, data.get())) {
      const Span match{ends[0], ends[1]};
      // An empty match right behind the previous one is not a match of its own.
      if (match.size() > 0 || matches.empty() || matches.back().end != match.begin) matches.push_back(match);
      at = match.end;
      if (match.size() == 0) at += at < text.size() ? char_length(static_cast<unsigned char>(text[at])) : 1;
    }
    return matches;
  }
};

Pattern Pattern::literal(std::string text) {
  if (text.empty()) throw std::invalid_argument("an empty pattern");
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(std::string_view expression) {
  Pattern pattern;
  pattern.code_ = std::make_shared<const Code>(to_pcre2(expression));
  return pattern;
}

std::vector<Span> Pattern::find_all(std::string_view text) const {
  if (code_) return code_->find_all(text);
  std::vector<Span> matches;
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size()))
    matches.push_back({at, at + literal_.size()});
  return matches;
}

std::string Pattern::replace_all(std::string_view text, std::string_view content, size_t most) const {
  const std::vector<Span> matches = find_all(text);
  size_t bytes = text.size() + matches.size() * content.size();
  for (const Span match : matches) bytes -= match.size();
  check_growth(bytes, most);
  std::string out;
  out.reserve(bytes);
  size_t copied = 0;
  for (const Span match : matches) {
    out += text.substr(copied, match.begin - copied);
    out += content;
    copied = match.end;
  }
  out += text.substr(copied);
  return out;
}

bool Pattern::matches_anywhere(std::string_view text) const { return !find_all(text).empty(); }

}  // namespace attnlab::text
