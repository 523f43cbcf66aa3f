#include "experiment/run/shard.h"

#include <algorithm>

#include "core/errors.h"
#include "core/numbers.h"

namespace attnlab {

Shard parse_shard(const std::string& text) {
  const size_t slash = std::min(text.find('/'), text.size());
  const auto index = parse_number<int64_t>(text.substr(0, slash));
  const auto count = parse_number<int64_t>(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count || *index < 1 || *index > *count)
    throw InputError(BadInput{
        .file = "--shard", .found = "'" + text + "'", .expected = "I/N with 1 <= I <= N, for instance 2/8"});
  return {.index = *index, .count = *count};
}

}  // namespace attnlab
