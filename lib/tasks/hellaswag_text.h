// HellaSwag's texts without the marks of the pages they come from, as lm_eval cleans them.
#pragma once

#include <string>

namespace attnlab {

// Stripped; " [title]" becomes ". "; what stands in brackets on one line goes; two blanks become one (once
// each).
std::string hellaswag_text(const std::string& text);

}  // namespace attnlab
