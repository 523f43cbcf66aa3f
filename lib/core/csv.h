// Comma-separated values (RFC 4180, with \n alone between records).
#pragma once

#include <string>

namespace attnlab {

// A text as a CSV field, quoted where it must be.
std::string csv_text(const std::string& text);

}  // namespace attnlab
