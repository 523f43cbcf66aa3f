#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "text/growth.h"
#include "text/unicode_tables.h"
#include "text/utf8.h"

namespace attnlab::text {
namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

CodePoints decompose(std::string_view text, int options) {
  CodePoints out;
  out.reserve(text.size());
  std::array<utf8proc_int32_t, 32> parts;  // the longest decomposition, of U+FDFA, has 18
  while (!text.empty()) {
    const auto c = static_cast<utf8proc_int32_t>(first_code_point(text));
    const utf8proc_ssize_t count = utf8proc_decompose_char(c, parts.data(), parts.size(),
                                                           static_cast<utf8proc_option_t>(options), nullptr);
    ATTNLAB_CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()));
    out.insert(out.end(), parts.begin(), parts.begin() + count);
    text.remove_prefix(char_length(static_cast<unsigned char>(text[0])));
  }
  return out;
}

// Characters that came after Unicode 9 and that normalisation concerns: combining marks, and what is made of
// others or becomes others. The tokenizers library normalises by Unicode 9, to which they are characters like
// any other: marks are not ordered, letters not composed across them, and nothing is made of them. Vocabularies
// were trained on what it makes, so ours must be the same.
struct Range {
  char32_t first, last;
};
constexpr std::array<Range, 48> kLater{
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},
     {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},
     {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC},
     {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
     {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
     {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
     {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1},
     {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
     {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}}};

bool is_later(char32_t c) {
  if (c < kLater.front().first) return false;
  const auto range = std::find_if(kLater.begin(), kLater.end(), [&](Range r) { return c <= r.last; });
  return range != kLater.end() && c >= range->first;
}

// Where the first of them at or behind `from` begins; the text's end if there is none.
size_t find_later(std::string_view text, size_t from) {
  for (size_t at = from; at < text.size(); at += char_length(static_cast<unsigned char>(text[at])))
    if (static_cast<unsigned char>(text[at]) >= 0xDF && is_later(first_code_point(text.substr(at)))) return at;
  return text.size();
}

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Canonical ordering: runs of marks (class > 0) are sorted by class, equal classes keep their order.
void order_marks(CodePoints& text) {
  for (auto at = text.begin(); at != text.end();) {
    if (combining_class(*at) == 0) {
      ++at;
      continue;
    }
    const auto end = std::find_if(at, text.end(), [](utf8proc_int32_t c) { return combining_class(c) == 0; });
    std::stable_sort(at, end, [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
}

// `text` without later characters, appended to `out`.
void append_normalized(std::string_view text, NormalForm form, std::string& out) {
  const bool compatible = form == NormalForm::NFKC || form == NormalForm::NFKD;
  const bool compose = form == NormalForm::NFC || form == NormalForm::NFKC;
  CodePoints points = decompose(text, UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  order_marks(points);
  if (compose) {
    const auto length =
        utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                 static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    ATTNLAB_CHECK(length >= 0);
    points.resize(static_cast<size_t>(length));
  }
  for (const auto c : points) append_utf8(static_cast<char32_t>(c), out);
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(char_length(static_cast<unsigned char>(text[0])))) {
    const char32_t c = first_code_point(text);
    const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    append_utf8(lower == c ? new_lower_case(c) : lower, out);
    if (c == 0x130) append_utf8(0x307, out);  // the only one that becomes two
  }
  return out;
}

struct ApplyNormalizerStep {
  std::string& text;
  size_t most;  // bytes that it may grow to

  void operator()(NormalForm form) const { text = normalize_unicode(text, form); }
  void operator()(const PrependStep& step) const {
    if (!text.empty()) text.insert(0, step.prefix);
  }
  void operator()(const ReplaceStep& step) const { text = step.pattern.replace_all(text, step.content, most); }
  void operator()(const LowercaseStep&) const { text = lower_case(text); }
  void operator()(const StripStep& step) const {
    if (step.right) text.resize(text.size() - white_space_at_end(text));
    if (step.left) text.erase(0, white_space_at_start(text));
  }
};

}  // namespace

std::string normalize_unicode(std::string_view text, NormalForm form) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t mark = find_later(text, at);
    append_normalized(text.substr(at, mark - at), form, out);
    at = mark;
    if (at == text.size()) break;
    const size_t length = char_length(static_cast<unsigned char>(text[at]));
    out += text.substr(at, length);
    at += length;
  }
  return out;
}

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  const size_t most = most_bytes(text.size());
  for (const NormalizerStep& step : steps) {
    std::visit(ApplyNormalizerStep{out, most}, step);
    check_growth(out.size(), most);
  }
  return out;
}

}  // namespace attnlab::text
