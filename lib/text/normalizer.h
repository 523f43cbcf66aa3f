// What is done to text before it is split: Unicode normal forms, a prefix, replacements.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.h"

namespace attnlab::text {

enum class NormalForm { NFC, NFD, NFKC, NFKD };

// Unicode normalisation in O(n log n), long runs of combining marks included. `text` is valid UTF-8.
// Characters of Unicode 10 and later are no marks to it and stay as they are, as to the tokenizers library.
std::string normalize_unicode(std::string_view text, NormalForm form);

struct PrependStep {
  std::string prefix;  // nothing is put before empty text
};
struct ReplaceStep {
  Pattern pattern;
  std::string content;
};
struct LowercaseStep {};  // each character by itself: a final sigma is a sigma
struct StripStep {        // white space at the ends
  bool left = true, right = true;
};
using NormalizerStep = std::variant<NormalForm, PrependStep, ReplaceStep, LowercaseStep, StripStep>;

struct Normalizer {
  std::vector<NormalizerStep> steps;  // applied in order

  // Throws RunError if the steps make too much of it (growth.h).
  std::string apply(std::string_view text) const;
};

}  // namespace attnlab::text
