#include "data/split.h"

#include <string>

#include "core/random.h"

namespace attnlab {

Split split_of(std::string_view content) {
  const uint64_t bucket = hash_name(std::string(content)) % 20;
  if (bucket == 0) return Split::test;
  return bucket == 1 ? Split::valid : Split::train;
}

}  // namespace attnlab
