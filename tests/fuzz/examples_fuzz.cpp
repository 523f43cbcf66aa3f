// Bytes as training data: refused with InputError, or examples with something to learn, in every form that data
// has and every chat format.
#include <cstdint>
#include <string>
#include <vector>

#include "core/jsonl.h"
#include "data/answers.h"
#include "data/chat_reader.h"
#include "data/readers.h"
#include "fuzz_file.h"
#include "text/utf8.h"

using namespace attnlab;

namespace {

using Notes = std::vector<std::string>;
using Roles = std::vector<std::string>;

void check_notes(const Notes& notes) {
  for (const std::string& note : notes) ATTNLAB_CHECK(note.find('\n') == std::string::npos);
}

void check(const std::vector<Example>& examples, const Notes& notes) {
  ATTNLAB_CHECK(!examples.empty());
  check_notes(notes);
  for (const Example& example : examples) {
    ATTNLAB_CHECK(text::is_valid_utf8(example.prompt) && text::is_valid_utf8(example.answer));
    if (!example.gold.empty()) ATTNLAB_CHECK(exact_match(example.gold, example.gold));
    for (const PromptPart& part : example.parts) ATTNLAB_CHECK(!part.text.empty());
    extract_answer(example.answer);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryFile file(as_text(data, size));
  const std::string path = file.path();
  // What is no file of objects is refused alike by all.
  if (!read_or_refuse([&] { for_each_record(path, [](const Record&) {}); })) return 0;
  const auto try_reader = [&](auto read) {
    read_or_refuse([&] {
      Notes notes;
      const auto examples = read(notes);
      check(examples, notes);
    });
  };
  try_reader([&](Notes& notes) { return read_gsm8k(path, PromptTemplate::plain, notes); });
  try_reader([&](Notes& notes) { return read_instructions(path, PromptTemplate::alpaca, notes); });
  try_reader([&](Notes&) { return read_texts(path); });
  for (const auto& [name, format] : EnumNames<ChatFormat>::rows) {
    const ChatFormat chat = format;
    for (const Roles& roles : {Roles{"assistant"}, Roles{"system", "user", "assistant"}})
      try_reader([&](Notes& notes) { return read_chats(path, chat, roles, notes); });
  }
  return 0;
}
