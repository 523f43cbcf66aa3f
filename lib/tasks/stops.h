// Stop strings: where a reply ends, for text that was generated without looking at them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

// What stands before the earliest occurrence of any stop string: plain, case-sensitive, anywhere. Empty stop
// strings stop nothing.
std::string until_stop(std::string_view text, const std::vector<std::string>& stops);

}  // namespace attnlab
