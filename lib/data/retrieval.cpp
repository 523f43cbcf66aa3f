#include "data/retrieval.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "core/errors.h"
#include "core/names.h"
#include "core/random.h"

namespace attnlab {
namespace {

constexpr std::array<const char*, 8> kFiller{"The grass is green.",        "The sky is blue.",
                                             "The sun is warm.",           "A bird sings in the tree.",
                                             "The river runs to the sea.", "The road goes up a hill.",
                                             "Snow falls on the roof.",    "The wind moves the leaves."};

int64_t words_in(const std::string& text) { return 1 + std::count(text.begin(), text.end(), ' '); }

// "kipo": consonant, vowel, consonant, vowel.
std::string draw_name(Random& random) {
  static const std::string consonants = "bdfgklmnprstvz", vowels = "aeiou";
  std::string name;
  for (int i = 0; i < 2; ++i) {
    name += random.pick(consonants);
    name += random.pick(vowels);
  }
  return name;
}

// Different from those that were drawn.
std::string fresh_name(Random& random, std::set<std::string>& drawn) {
  while (true)
    if (const auto [name, is_new] = drawn.insert(draw_name(random)); is_new) return *name;
}

// "a, b and c"
std::string listed(const std::vector<std::string>& names) {
  if (names.size() == 1) return names[0];
  const std::vector<std::string> first(names.begin(), names.end() - 1);
  return join(first, ", ") + " and " + names.back();
}

Retrieval of_numbers(std::string context, std::string question, const std::vector<std::string>& numbers) {
  return {.context = std::move(context),
          .question = std::move(question),
          .gold = join(numbers, ""),
          .answer = "#### " + join(numbers, ",")};
}

Retrieval draw_passkey(Random& random, int64_t difficulty, int64_t words) {
  std::vector<std::string> sentences;
  for (int64_t count = 0; count < words; count += words_in(sentences.back()))
    sentences.emplace_back(random.pick(kFiller));
  const std::string key = std::to_string(random.between(10000, 99999));
  const int64_t place = (difficulty - 1) * std::ssize(sentences) / 4;
  sentences.insert(sentences.begin() + place, "The pass key is " + key + ".");
  return of_numbers(join(sentences, " "), "What is the pass key?", {key});
}

Retrieval draw_key_values(Random& random, int64_t difficulty, int64_t words) {
  std::set<std::string> drawn;
  std::vector<std::string> keys, values, lines;
  for (int64_t pair = 0; pair < std::max(words / 2, difficulty); ++pair) {
    keys.push_back(fresh_name(random, drawn));
    values.push_back(std::to_string(random.between(10, 99)));
    lines.push_back(keys.back() + ": " + values.back());
  }
  std::set<int64_t> chosen;
  std::vector<std::string> asked, numbers;
  while (std::ssize(chosen) < difficulty) {
    const int64_t pair = random.between(0, std::ssize(keys) - 1);
    if (!chosen.insert(pair).second) continue;
    asked.push_back(keys[static_cast<size_t>(pair)]);
    numbers.push_back(values[static_cast<size_t>(pair)]);
  }
  const char* form = difficulty == 1 ? "What is the value of " : "What are the values of ";
  return of_numbers(join(lines, "\n"), form + listed(asked) + "?", numbers);
}

// Of each chain in order, chains mixed.
Retrieval draw_variable_trace(Random& random, int64_t difficulty, int64_t words) {
  constexpr int64_t words_per_line = 3;
  const int64_t length = difficulty + 1, chains = std::max<int64_t>(words / (words_per_line * length), 2);
  std::set<std::string> drawn;
  std::vector<std::vector<std::string>> lines(static_cast<size_t>(chains));
  std::vector<std::string> ends, values;
  for (auto& chain : lines) {
    values.push_back(std::to_string(random.between(10, 99)));
    std::string known = values.back();
    for (int64_t i = 0; i < length; ++i) {
      const std::string name = fresh_name(random, drawn);
      chain.push_back(name + " = " + known);
      known = name;
    }
    ends.push_back(known);
  }
  std::vector<size_t> order;  // whose line is next
  for (size_t chain = 0; chain < lines.size(); ++chain) order.insert(order.end(), lines[chain].size(), chain);
  const auto mixed = permutation(std::ssize(order), random.next());
  std::vector<size_t> taken(lines.size());
  std::vector<std::string> text;
  for (const int64_t place : mixed) {
    const size_t chain = order[static_cast<size_t>(place)];
    text.push_back(lines[chain][taken[chain]++]);
  }
  const auto asked = static_cast<size_t>(random.between(0, chains - 1));
  return of_numbers(join(text, "\n"), "What is the value of " + ends[asked] + "?", {values[asked]});
}

Retrieval draw(DataKind kind, Random& random, int64_t difficulty, int64_t words) {
  switch (kind) {
    case DataKind::passkey:
      return draw_passkey(random, difficulty, words);
    case DataKind::key_values:
      return draw_key_values(random, difficulty, words);
    case DataKind::variable_trace:
      return draw_variable_trace(random, difficulty, words);
    default:
      ATTNLAB_CHECK(!"a kind without a context");
  }
}

}  // namespace

Retrieval retrieval(DataKind kind, uint64_t seed, Split split, int64_t index, int64_t difficulty,
                    int64_t words) {
  const std::string stream = std::string(name_of(kind)) + '/' + std::string(name_of(split)) + '/' +
                             std::to_string(difficulty) + '/' + std::to_string(words);
  Random random(seed ^ hash_name(stream), static_cast<uint64_t>(index));
  while (true) {
    auto problem = draw(kind, random, difficulty, words);
    if (split_of(problem.context + '\n' + problem.question) == split) return problem;
  }
}

}  // namespace attnlab
