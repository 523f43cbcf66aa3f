// Texts of what sentences are put together from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attnlab {

inline std::string str(int64_t value) { return std::to_string(value); }
inline std::string str(std::string_view value) { return std::string(value); }

}  // namespace attnlab
