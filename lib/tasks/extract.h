// lm_eval's GSM8K answers: cut out of a reply by its regular expressions, and compared as text. Digits are
// ASCII.
#pragma once

#include <string>
#include <string_view>

namespace attnlab {

// What an extraction gives where a reply has no answer; it matches nothing.
inline constexpr std::string_view kNoAnswer = "[invalid]";

// gsm8k, strict-match: the first "#### (-?[0-9.,]+)".
std::string answer_after_hashes(std::string_view reply);

// gsm8k_cot, strict-match: the first "The answer is (-?[0-9.,]+)." whose last dot is any character but a line
// break. With nothing behind the number it takes the number's own last character: "The answer is 72" gives 7.
std::string answer_before_any_character(std::string_view reply);

// flexible-extract: the last of "(-?[$0-9.,]{2,})|(-?[0-9]+)". Dots and dollars without a digit count.
std::string last_number(std::string_view reply);

// The reply's runs of digits, with commas between them: "1,234 and 5" gives "1,234,5".
std::string numbers_of_reply(std::string_view reply);

// exact_match: equal after both lose every "," and "$", all up to the last "#### ", and one "." at the end.
bool same_number_text(std::string_view answer, std::string_view gold);

}  // namespace attnlab
