#include "tasks/choice_item.h"

#include "core/errors.h"

namespace attnlab {
namespace {

std::string answered(const std::vector<ChoiceItem>& pool, const std::string& header, int64_t count) {
  std::string text;
  int64_t found = 0;
  for (const auto& example : pool) {
    if (found == count) break;
    if (example.header != header) continue;
    const auto gold = static_cast<size_t>(example.gold);
    text += example.contexts[gold] + example.continuations[gold] + "\n\n";
    ++found;
  }
  if (found < count)
    throw InputError(BadInput{.key = "shots",
                              .found = std::to_string(count),
                              .expected = "at most " + std::to_string(found) + ", as many as there are" +
                                          (header.empty() ? "" : " for one subject")});
  return text;
}

}  // namespace

ChoiceItem choice_item(const std::string& context, const std::vector<std::string>& choices, int64_t gold) {
  ChoiceItem item{
      .contexts = std::vector<std::string>(choices.size(), context), .choices = choices, .gold = gold};
  for (const auto& choice : choices) item.continuations.push_back(" " + choice);
  return item;
}

std::vector<ChoiceItem> with_shots(const std::vector<ChoiceItem>& items, const std::vector<ChoiceItem>& pool,
                                   int64_t count) {
  std::vector<ChoiceItem> out = items;
  for (auto& item : out) {
    const std::string before = item.header + answered(pool, item.header, count);
    for (auto& context : item.contexts) context = before + context;
  }
  return out;
}

}  // namespace attnlab
