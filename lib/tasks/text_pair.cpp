#include "tasks/text_pair.h"

#include <algorithm>
#include <iterator>

#include "core/errors.h"
#include "tasks/unicode.h"

namespace attnlab {

IdPair split_text_pair(const std::string& context, const std::string& continuation, int64_t prefix,
                       const Encode& encode) {
  const std::string before = context.substr(0, length_without_trailing_space(context));
  const std::vector<int64_t> whole = encode(context + continuation);
  IdPair pair{.context = encode(before)};
  const auto seam = std::min(pair.context.size(), whole.size());
  pair.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(seam), whole.end());
  if (pair.context.empty()) pair.context = {prefix};
  return pair;
}

ScoredIds scored_ids(const IdPair& pair, int64_t window) {
  const int64_t targets = std::ssize(pair.continuation);
  if (targets > window)
    throw InputError(BadInput{.key = "continuation",
                              .found = std::to_string(targets) + " tokens",
                              .expected = "at most " + std::to_string(window) + ", the model's window"});
  ScoredIds scored{.input = pair.context, .targets = targets};
  scored.input.insert(scored.input.end(), pair.continuation.begin(), pair.continuation.end());
  if (!scored.input.empty()) scored.input.pop_back();
  const int64_t excess = std::max<int64_t>(0, std::ssize(scored.input) - window);
  scored.input.erase(scored.input.begin(), scored.input.begin() + excess);
  return scored;
}

std::vector<int64_t> truncate_prompt(std::vector<int64_t> ids, int64_t window, int64_t max_new_tokens) {
  const int64_t room = window - max_new_tokens;
  if (room <= 0)
    throw InputError(BadInput{.key = "max_new_tokens",
                              .found = std::to_string(max_new_tokens),
                              .expected = "less than the model's window of " + std::to_string(window)});
  ids.erase(ids.begin(), ids.begin() + std::max<int64_t>(0, std::ssize(ids) - room));
  return ids;
}

}  // namespace attnlab
