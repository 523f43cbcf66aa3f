#include "text/pre_tokenizer.h"

#include <algorithm>

#include "text/byte_level.h"
#include "text/growth.h"
#include "text/unicode_tables.h"

namespace attnlab::text {
namespace {

struct Cut {
  Span span;
  bool is_match = false;
};

// `text` cut into matches and what lies between them.
std::vector<Cut> cut_by(const Pattern& pattern, std::string_view text, bool invert) {
  std::vector<Cut> cuts;
  size_t end = 0;
  for (const Span match : pattern.find_all(text)) {
    if (end != match.begin) cuts.push_back({{end, match.begin}, invert});
    cuts.push_back({match, !invert});
    end = match.end;
  }
  if (end != text.size()) cuts.push_back({{end, text.size()}, invert});
  return cuts;
}

// A match joins the neighbour before it, unless that is a match itself.
std::vector<Span> merge_with_previous(const std::vector<Cut>& cuts) {
  std::vector<Span> out;
  bool after_match = false;
  for (const Cut& cut : cuts) {
    if (cut.is_match && !after_match && !out.empty()) {
      out.back().end = cut.span.end;
    } else {
      out.push_back(cut.span);
    }
    after_match = cut.is_match;
  }
  return out;
}

std::vector<Span> merge_with_next(const std::vector<Cut>& cuts) {
  std::vector<Span> out;
  bool before_match = false;
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    if (cut->is_match && !before_match && !out.empty()) {
      out.back().begin = cut->span.begin;
    } else {
      out.push_back(cut->span);
    }
    before_match = cut->is_match;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

// Neighbouring matches become one piece.
std::vector<Span> merge_runs(const std::vector<Cut>& cuts) {
  std::vector<Span> out;
  bool was_match = false;
  for (const Cut& cut : cuts) {
    if (cut.is_match == was_match && !out.empty()) {
      out.back().end = cut.span.end;
    } else {
      out.push_back(cut.span);
    }
    was_match = cut.is_match;
  }
  return out;
}

std::vector<Span> merged(const std::vector<Cut>& cuts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::merged_with_previous:
      return merge_with_previous(cuts);
    case SplitBehavior::merged_with_next:
      return merge_with_next(cuts);
    case SplitBehavior::contiguous:
      return merge_runs(cuts);
    default:
      break;
  }
  std::vector<Span> out;
  for (const Cut& cut : cuts)
    if (behavior == SplitBehavior::isolated || !cut.is_match) out.push_back(cut.span);
  return out;
}

void split(Pieces& pieces, const SplitStep& step) {
  std::vector<Span> spans;
  for (const Span piece : pieces.spans)
    for (const Span part : merged(cut_by(step.pattern, piece.of(pieces.text), step.invert), step.behavior))
      if (part.size() > 0) spans.push_back({piece.begin + part.begin, piece.begin + part.end});
  pieces.spans = std::move(spans);
}

// Writes each piece anew by `append(span, out)`.
template <class Append>
void rewrite(Pieces& pieces, Append&& append) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 4);
  std::vector<Span> spans;
  spans.reserve(pieces.spans.size());
  for (const Span piece : pieces.spans) {
    const size_t begin = text.size();
    append(piece, text);
    spans.push_back({begin, text.size()});
  }
  pieces.at_start = pieces.at_start && !pieces.spans.empty() && pieces.spans.front().begin == 0;
  pieces.text = std::move(text);
  pieces.spans = std::move(spans);
}

struct ApplySplit {
  Pieces& pieces;

  void operator()(const SplitStep& step) const { split(pieces, step); }

  void operator()(const ByteLevelStep& step) const {
    if (step.add_prefix_space)
      rewrite(pieces, [&](Span piece, std::string& out) {
        if (pieces.text[piece.begin] != ' ') out += ' ';
        out += piece.of(pieces.text);
      });
    if (step.pattern) split(pieces, {*step.pattern});
    rewrite(pieces, [&](Span piece, std::string& out) { append_byte_level(piece.of(pieces.text), out); });
  }

  void operator()(const MetaspaceStep& step) const {
    static const Pattern space = Pattern::literal(" ");
    rewrite(pieces, [&](Span piece, std::string& out) {
      const std::string text = space.replace_all(piece.of(pieces.text), step.replacement);
      const bool wanted = step.prepend == PrependScheme::always ||
                          (step.prepend == PrependScheme::first && pieces.at_start && piece.begin == 0);
      if (wanted && !text.starts_with(step.replacement)) out += step.replacement;
      out += text;
    });
    if (step.split) split(pieces, {Pattern::literal(step.replacement), SplitBehavior::merged_with_next});
  }
};

}  // namespace

std::string_view byte_level_expression() {
  return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

std::string word_class() { return R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])"; }

SplitStep punctuation_step(SplitBehavior behavior) {
  return {.pattern = Pattern::regex("[" + std::string(punctuation_members()) + "]"), .behavior = behavior};
}

SplitStep whitespace_step() {
  const std::string word = word_class(), inside = word.substr(1, word.size() - 2);
  return {.pattern = Pattern::regex(word + "+|[^" + inside + "\\s]+"),
          .behavior = SplitBehavior::removed,
          .invert = true};
}

SplitStep whitespace_split_step() {
  return {.pattern = Pattern::regex("\\s"), .behavior = SplitBehavior::removed};
}

// Of Unicode 17, other than \p{N} of patterns.
SplitStep digits_step(bool individual) {
  return {.pattern = Pattern::regex(R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])"),
          .behavior = individual ? SplitBehavior::isolated : SplitBehavior::contiguous};
}

void PreTokenizer::apply(Pieces& pieces) const {
  const size_t most = most_bytes(pieces.text.size());
  for (const PreTokenizerStep& step : steps) {
    std::visit(ApplySplit{pieces}, step);
    check_growth(pieces.text.size(), most);
  }
}

}  // namespace attnlab::text
