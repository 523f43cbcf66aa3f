// Texts for LaTeX: nothing in them is a command, and all of them compile.
#pragma once

#include <string>

namespace attnlab {

// What LaTeX would read as a command is escaped; characters that its fonts of old lack are commands, or
// "[U+4E2D]".
std::string latex_text(const std::string& text);
// The same with places in long words where a line may end.
std::string latex_breakable(const std::string& text);

}  // namespace attnlab
