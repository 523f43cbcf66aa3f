#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "text/growth.h"

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

struct Apply {
  std::string& text;
  size_t most;  // bytes that it may grow to

  void operator()(NormalForm form) const { text = normalize_unicode(text, form); }
  void operator()(const PrependStep& step) const {
    if (!text.empty()) text.insert(0, step.prefix);
  }
  void operator()(const ReplaceStep& step) const { text = step.pattern.replace_all(text, step.content, most); }
};

}  // namespace

std::string normalize_unicode(std::string_view text, NormalForm form) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
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
  std::string out;
  out.reserve(text.size());
  for (const auto c : points) append_utf8(static_cast<char32_t>(c), out);
  return out;
}

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  const size_t most = most_bytes(text.size());
  for (const NormalizerStep& step : steps) {
    std::visit(Apply{out, most}, step);
    check_growth(out.size(), most);
  }
  return out;
}

}  // namespace attnlab::text
