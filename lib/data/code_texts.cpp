// Functions on strings and words.
#include <algorithm>

#include "core/names.h"
#include "data/code_families.h"
#include "data/str.h"

namespace attnlab {
namespace {

Words draw_words(Random& random, const CodeScale& scale) {
  static const Words vocabulary{"apple",  "river", "stone",  "cat",    "garden", "blue",   "train",
                                "a",      "wind",  "summer", "to",     "basket", "moon",   "eagle",
                                "little", "bread", "old",    "forest", "sea",    "lantern"};
  Words words(static_cast<size_t>(random.between(2, scale.length)));
  for (std::string& word : words) word = random.pick(vocabulary);
  return words;
}

std::string letter(Random& random) {
  static const std::string letters = "abdefgilmnorstw";
  return std::string(1, random.pick(letters));
}

std::string text_parameter(Random& random) {
  static const Words names{"text", "s", "string", "line"};
  return random.pick(names);
}

template <class Compute>
CodeDraft on_text(CodeDraft draft, Random& random, const CodeScale& scale, Compute compute) {
  add_cases(
      draft, [&] { return join(draw_words(random, scale), " "); }, compute);
  return draft;
}

template <class Compute>
CodeDraft on_words(CodeDraft draft, Random& random, const CodeScale& scale, Compute compute) {
  add_cases(
      draft, [&] { return draw_words(random, scale); }, compute);
  return draft;
}

struct WordFilter {
  std::string name, phrase, condition;
  std::function<bool(const std::string&)> holds;
};

WordFilter draw_filter(Random& random) {
  const int64_t n = random.between(2, 6);
  const std::string c = letter(random);
  const auto size = [](const std::string& w) { return static_cast<int64_t>(w.size()); };
  switch (random.between(0, 5)) {
    case 0:
      return {"longer", "are longer than " + str(n) + " letters", "len(w) > " + str(n),
              [=](const std::string& w) { return size(w) > n; }};
    case 1:
      return {"shorter", "are shorter than " + str(n) + " letters", "len(w) < " + str(n),
              [=](const std::string& w) { return size(w) < n; }};
    case 2:
      return {"starting", "start with '" + c + "'", "w.startswith('" + c + "')",
              [=](const std::string& w) { return w.front() == c[0]; }};
    case 3:
      return {"ending", "end with '" + c + "'", "w.endswith('" + c + "')",
              [=](const std::string& w) { return w.back() == c[0]; }};
    case 4:
      return {"with_letter", "contain '" + c + "'", "'" + c + "' in w",
              [=](const std::string& w) { return w.find(c) != std::string::npos; }};
    default:
      return {"without_letter", "do not contain '" + c + "'", "'" + c + "' not in w",
              [=](const std::string& w) { return w.find(c) == std::string::npos; }};
  }
}

Words select(const Words& words, const WordFilter& filter) {
  Words out;
  std::copy_if(words.begin(), words.end(), std::back_inserter(out), filter.holds);
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

CodeDraft count_letters(Random& random, const CodeScale& scale) {
  const std::string a = letter(random), b = letter(random), p = text_parameter(random);
  const int64_t k = random.between(1, scale.constant);
  return on_text(
      {.name = "letter_score",
       .parameters = p,
       .result = "how often '" + a + "' occurs in the string, plus " + str(k) + " for every '" + b + "'",
       .body = {"return " + p + ".count('" + a + "') + " + str(k) + " * " + p + ".count('" + b + "')"}},
      random, scale, [=](const std::string& text) {
        return int64_t(std::count(text.begin(), text.end(), a[0])) +
               k * int64_t(std::count(text.begin(), text.end(), b[0]));
      });
}

CodeDraft replace_letter(Random& random, const CodeScale& scale) {
  const std::string a = letter(random), b = letter(random), p = text_parameter(random);
  const bool shout = random.between(0, 1) == 0;
  return on_text(
      {.name = shout ? "replace_and_upper" : "replace_letter",
       .parameters = p,
       .result = "the string with every '" + a + "' replaced by '" + b + "'" + (shout ? ", in upper case" : ""),
       .body = {"return " + p + ".replace('" + a + "', '" + b + "')" + (shout ? ".upper()" : "")}},
      random, scale, [=](std::string text) {
        std::replace(text.begin(), text.end(), a[0], b[0]);
        return shout ? upper(text) : text;
      });
}

CodeDraft remove_letters(Random& random, const CodeScale& scale) {
  // Drawn from the last to the first, as GCC did when all stood in one expression, whose order is the
  // compiler's.
  const std::string third = letter(random), second = letter(random), first = letter(random);
  const std::string letters = first + second + third, p = text_parameter(random);
  return on_text({.name = "remove_letters",
                  .parameters = p,
                  .result = "the string without the letters in '" + letters + "'",
                  .body = {"return ''.join(c for c in " + p + " if c not in '" + letters + "')"}},
                 random, scale, [=](std::string text) {
                   text.erase(std::remove_if(text.begin(), text.end(),
                                             [&](char c) { return letters.find(c) != std::string::npos; }),
                              text.end());
                   return text;
                 });
}

CodeDraft slice_text(Random& random, const CodeScale& scale) {
  const int64_t n = random.between(1, std::min<int64_t>(scale.constant, 12));
  const bool first = random.between(0, 1) == 0, reversed = random.between(0, 1) == 0;
  const std::string p = text_parameter(random), slice = first ? "[:" + str(n) + "]" : "[-" + str(n) + ":]";
  return on_text({.name = first ? "first_part" : "last_part",
                  .parameters = p,
                  .result = std::string("the ") + (first ? "first " : "last ") + str(n) +
                            " characters of the string" + (reversed ? ", reversed" : ""),
                  .body = {"return " + p + slice + (reversed ? "[::-1]" : "")}},
                 random, scale, [=](const std::string& text) {
                   const auto size = std::min(text.size(), static_cast<size_t>(n));
                   std::string part = first ? text.substr(0, size) : text.substr(text.size() - size);
                   if (reversed) std::reverse(part.begin(), part.end());
                   return part;
                 });
}

CodeDraft repeat_text(Random& random, const CodeScale& scale) {
  static const Words separators{"-", "+", "/", ":", " "};
  const int64_t n = random.between(2, 4);
  const std::string s = random.pick(separators), c = letter(random), p = text_parameter(random);
  return on_text(
      {.name = "repeat_text",
       .parameters = p,
       .result = "the string followed by '" + c + "', repeated " + str(n) + " times and joined by '" + s + "'",
       .body = {"return '" + s + "'.join([" + p + " + '" + c + "'] * " + str(n) + ")"}},
      random, scale, [=](const std::string& text) { return join(Words(static_cast<size_t>(n), text + c), s); });
}

CodeDraft keep_words(Random& random, const CodeScale& scale) {
  const WordFilter filter = draw_filter(random);
  const bool shout = scale.compose && random.between(0, 1) == 0;
  return on_words({.name = (shout ? "upper_" : "words_") + filter.name,
                   .parameters = "words",
                   .result = "the list of words that " + filter.phrase + (shout ? ", in upper case" : ""),
                   .body = {std::string("return [") + (shout ? "w.upper()" : "w") + " for w in words if " +
                            filter.condition + "]"}},
                  random, scale, [=](const Words& words) {
                    Words kept = select(words, filter);
                    if (shout) std::transform(kept.begin(), kept.end(), kept.begin(), upper);
                    return kept;
                  });
}

CodeDraft count_words(Random& random, const CodeScale& scale) {
  const WordFilter filter = draw_filter(random);
  const std::string p = text_parameter(random);
  return on_text({.name = "count_" + filter.name,
                  .parameters = p,
                  .result = "how many words of the string " + filter.phrase,
                  .body = {"count = 0", "for w in " + p + ".split():", "    if " + filter.condition + ":",
                           "        count += 1", "return count"}},
                 random, scale, [=](const std::string& text) {
                   int64_t count = 0;
                   for (size_t at = 0; at < text.size();) {
                     const size_t end = std::min(text.find(' ', at), text.size());
                     count += filter.holds(text.substr(at, end - at));
                     at = end + 1;
                   }
                   return count;
                 });
}

CodeDraft total_length(Random& random, const CodeScale& scale) {
  const WordFilter filter = draw_filter(random);
  const int64_t k = random.between(0, scale.constant);
  return on_words({.name = "total_length_" + filter.name,
                   .parameters = "words",
                   .result = "the total length of the words that " + filter.phrase + ", plus " + str(k),
                   .body = {"total = " + str(k), "for w in words:", "    if " + filter.condition + ":",
                            "        total += len(w)", "return total"}},
                  random, scale, [=](const Words& words) {
                    int64_t sum = k;
                    for (const std::string& word : select(words, filter)) sum += int64_t(word.size());
                    return sum;
                  });
}

CodeDraft join_words(Random& random, const CodeScale& scale) {
  static const Words separators{"-", "+", "/", ":", "_"};
  const WordFilter filter = draw_filter(random);
  const std::string s = random.pick(separators);
  return on_words({.name = "join_" + filter.name,
                   .parameters = "words",
                   .result = "the words that " + filter.phrase + ", joined by '" + s + "'",
                   .body = {"return '" + s + "'.join(w for w in words if " + filter.condition + ")"}},
                  random, scale, [=](const Words& words) { return join(select(words, filter), s); });
}

CodeDraft word_lengths(Random& random, const CodeScale& scale) {
  const WordFilter filter = draw_filter(random);
  const int64_t k = random.between(1, scale.constant);
  return on_words(
      {.name = "lengths_" + filter.name,
       .parameters = "words",
       .result = "the list of lengths, multiplied by " + str(k) + ", of the words that " + filter.phrase,
       .body = {"return [len(w) * " + str(k) + " for w in words if " + filter.condition + "]"}},
      random, scale, [=](const Words& words) {
        Numbers out;
        for (const std::string& word : select(words, filter)) out.push_back(int64_t(word.size()) * k);
        return out;
      });
}

}  // namespace

const std::vector<CodeFamily>& text_families() {
  static const std::vector<CodeFamily> families{count_letters, replace_letter, remove_letters, slice_text,
                                                repeat_text,   keep_words,     count_words,    total_length,
                                                join_words,    word_lengths};
  return families;
}

}  // namespace attnlab
