// How text is cut into words, which merges never cross.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/names.h"
#include "text/regex.h"

namespace attnlab {
namespace text {

// A text and the pieces of it that are left to be tokenised, in order.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  bool at_start = true;  // text[0] is the beginning of what the user gave
};

// What becomes of a match of the pattern.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct SplitStep {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // the pattern describes the words, not what is between them
};
// Cuts by `pattern` if there is one, then spells the bytes in the byte-level alphabet.
struct ByteLevelStep {
  bool add_prefix_space = false;  // before each piece that does not begin with a space
  std::optional<Pattern> pattern;
};
enum class PrependScheme { always, first, never };
// Spaces become `replacement`, which may also be put in front; cuts before each `replacement`.
struct MetaspaceStep {
  std::string replacement;
  PrependScheme prepend = PrependScheme::always;
  bool split = true;
};
using PreTokenizerStep = std::variant<SplitStep, ByteLevelStep, MetaspaceStep>;

// The expression that ByteLevel cuts by if it is told to (GPT-2's).
std::string_view byte_level_expression();

// A word character as Rust's regular expressions have it, as a character class.
std::string word_class();

// What the library's pre-tokenizers of these names do: cut at each punctuation character; keep words and runs
// of what is neither word nor white space; keep what white space separates; cut at numbers.
SplitStep punctuation_step(SplitBehavior behavior);
SplitStep whitespace_step();
SplitStep whitespace_split_step();
SplitStep digits_step(bool individual);

struct PreTokenizer {
  std::vector<PreTokenizerStep> steps;  // each works on every piece that the one before made

  void apply(Pieces& pieces) const;
};

}  // namespace text

template <>
struct EnumNames<text::SplitBehavior> {
  using enum text::SplitBehavior;
  static constexpr std::array<std::pair<std::string_view, text::SplitBehavior>, 5> rows{
      {{"Removed", removed},
       {"Isolated", isolated},
       {"MergedWithPrevious", merged_with_previous},
       {"MergedWithNext", merged_with_next},
       {"Contiguous", contiguous}}};
};

template <>
struct EnumNames<text::PrependScheme> {
  using enum text::PrependScheme;
  static constexpr std::array<std::pair<std::string_view, text::PrependScheme>, 3> rows{
      {{"always", always}, {"first", first}, {"never", never}}};
};

}  // namespace attnlab
