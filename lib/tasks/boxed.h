// The \boxed answer of a MATH solution (Hendrycks et al. 2021), found as the data set's own scorer finds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace attnlab {

// The last "\boxed{…}" with balanced braces; without any "\boxed", the last "\fbox{…}". Where "\boxed " (with a
// space) occurs, the last of these up to the next "$". Nothing if there is none or its brace stays open.
std::optional<std::string> last_boxed(std::string_view text);

// What stands in "\boxed{…}" or after "\boxed ". Nothing for another form, "\fbox" included.
std::optional<std::string> inside_boxed(std::string_view boxed);

}  // namespace attnlab
