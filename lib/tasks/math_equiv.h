// Whether two MATH answers are the same text up to notation, by the rules of the data set's own scorer
// (Hendrycks et al. 2021, is_equiv), which lm_eval's hendrycks_math shares. Nothing is computed: \frac{2}{4} is
// not \frac{1}{2}, and 10.0 is not 10.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace attnlab {

// The text in its plain notation: without line breaks, \left, \right, degrees, \$, \%, units behind "\text{ ",
// a short "x =" in front, and spaces; \frac12, 1/2 and 0.5 as \frac{1}{2}, \sqrt3 as \sqrt{3}. Nothing where
// the scorer gives up: two units, \frac or \sqrt at the end, a fraction of letters.
std::optional<std::string> plain_math(std::string text);

// Equal in plain notation; where either has none, equal as they stand.
bool math_equivalent(const std::string& a, const std::string& b);

// lm_eval: what stands between the first and the last "$" of a reply, or all of it with fewer than two.
std::string between_dollars(std::string_view reply);

}  // namespace attnlab
