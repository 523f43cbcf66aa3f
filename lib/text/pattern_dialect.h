// tokenizer.json patterns are written for Oniguruma's Ruby syntax; ours run in PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace attnlab::text {

// The PCRE2 pattern (for PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE) with the same meaning. What the two engines
// read differently is rewritten: \s, \w and POSIX classes to Unicode properties, \uXXXX to \x{XXXX}, X{n,m}+ to
// (?:X{n,m})+, properties to Unicode 16's, names of scripts to PCRE2's sc:. Throws std::invalid_argument naming
// the construct where the engines differ and no rewriting is done.
std::string to_pcre2(std::string_view pattern);

}  // namespace attnlab::text
