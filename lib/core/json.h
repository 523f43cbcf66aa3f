// JSON that other programs wrote: everything that a lenient parser would let pass in silence is an error here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

// What a text may hold, so that a small hostile file cannot make a large tree.
struct JsonLimits {
  size_t depth = 64;                                  // nested lists and maps
  size_t items = std::numeric_limits<size_t>::max();  // elements of one list
};

// Parses JSON text; `file` stands in the errors, `line` is the one that the text begins in. A byte order mark
// in front is left out. Throws InputError on bad syntax, with the line and what stands there, on a number that
// no double holds, on a key that stands twice in one map (the parser alone would keep one of them), and past
// the limits.
nlohmann::json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits = {},
                          int64_t line = 1);
// A JSON file of at most 100 MB whose outermost value must be a map. Throws InputError.
nlohmann::json parse_json_map(const std::filesystem::path& path);

// The text without a byte order mark of UTF-8 in front. Throws InputError for what begins as UTF-16 or UTF-32
// does.
std::string_view without_byte_order_mark(std::string_view text, const std::string& file);

// A name from a file as it may stand in a one-line message: control characters as '?', at most 200 bytes.
std::string printable(std::string_view name);
// The nearest of the candidates that are of such a length, have the same numbers (a tensor of another layer is
// no slip) and differ by few characters; "" if there is none. Names of megabytes would cost their product in
// memory and time.
std::string nearest_printable(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace attnlab
